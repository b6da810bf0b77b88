"""All that the store keeps of one partition, as raw bytes: what verification compares, and what it repairs.

Every kind of key that a partition may hold is told apart here; a key of no kind is named `unexpected`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import redis

from feature_store.online.client import reply
from feature_store.online.keys import (
    CALIBRATIONS,
    CODEBOOK,
    OPEN,
    OPT_OUTS,
    PERSONA,
    PERSONA_WRITES,
    PROGRESS,
    STATE,
    WINDOW,
    escape,
)

_SCAN_COUNT: Final = 5_000
_ROWS_PER_READ: Final = 2_000

Wanted = Callable[[bytes], bool]
"""Kafka key, store|buyer -> whether its rows are to be read."""


class StoredWindow(NamedTuple):
    """Counts of one window: its length and start (event time, ms), what is left of its life in the store
    (ms of wall clock; -1: for ever), and field -> packed profile."""

    length_ms: int
    start: int
    left_ms: int
    fields: Mapping[bytes, bytes]


class StoredPartition(NamedTuple):
    """A partition's keys and their values, raw; the iterables may be read once.

    calibrations: offset in the log -> record. opt_outs: (Kafka key, offset after the withdrawal). states and
    personas: (Kafka key, row). open: (Kafka key, time of the last event in ms).
    unexpected: names, without the partition's prefix, of keys that are of no kind known here, or whose name
    is malformed.
    """

    progress: bytes | None
    codebook: bytes | None
    persona_writes: bytes | None
    calibrations: Mapping[bytes, bytes]
    opt_outs: Iterable[tuple[bytes, bytes]]
    states: Iterable[tuple[bytes, bytes]]
    personas: Iterable[tuple[bytes, bytes]]
    open: Iterable[tuple[bytes, float]]
    windows: Iterable[StoredWindow]
    unexpected: list[bytes]


def read_stored(client: redis.Redis, prefix: bytes, wanted: Wanted | None) -> StoredPartition:
    """Read a partition whose keys begin with `prefix`. One scan of names; rows follow as they are asked for.

    wanted: rows of which buyers to read; None for all of them.
    """
    states: list[bytes] = []
    personas: list[bytes] = []
    windows: list[bytes] = []
    unexpected: list[bytes] = []
    for name in sorted(set(client.scan_iter(match=escape(prefix) + b"*", count=_SCAN_COUNT))):
        kind, separator, rest = name[len(prefix) :].partition(b":")
        kind += separator
        if kind in (STATE, PERSONA):
            if wanted is None or wanted(rest):
                (states if kind == STATE else personas).append(rest)
        elif kind == WINDOW and _window_of(rest) is not None:
            windows.append(rest)
        elif kind not in (PROGRESS, CODEBOOK, CALIBRATIONS, OPT_OUTS, OPEN, PERSONA_WRITES):
            unexpected.append(name[len(prefix) :])
    names = (PROGRESS, CODEBOOK, PERSONA_WRITES)
    progress, codebook, writes = reply(client.mget([prefix + name for name in names]))
    return StoredPartition(
        progress,
        codebook,
        writes,
        reply(client.hgetall((prefix + CALIBRATIONS).decode())),
        _opt_outs(client, prefix + OPT_OUTS, wanted),
        _rows(client, prefix + STATE, states),
        _rows(client, prefix + PERSONA, personas),
        _open(client, prefix + OPEN, wanted),
        _windows(client, prefix + WINDOW, windows),
        unexpected,
    )


def _rows(client: redis.Redis, prefix: bytes, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for at in range(0, len(keys), _ROWS_PER_READ):
        some = keys[at : at + _ROWS_PER_READ]
        found = reply(client.mget([prefix + key for key in some]))
        yield from ((key, row) for key, row in zip(some, found, strict=True) if row is not None)


def _open(client: redis.Redis, name: bytes, wanted: Wanted | None) -> Iterator[tuple[bytes, float]]:
    seen = set()
    for key, time in client.zscan_iter(name, count=_SCAN_COUNT):
        if key not in seen and (wanted is None or wanted(key)):
            seen.add(key)
            yield key, time


def _opt_outs(client: redis.Redis, name: bytes, wanted: Wanted | None) -> Iterator[tuple[bytes, bytes]]:
    seen = set()
    for key, row in client.hscan_iter(name.decode(), count=_SCAN_COUNT):
        if key not in seen and (wanted is None or wanted(key)):
            seen.add(key)
            yield key, row


def _windows(client: redis.Redis, prefix: bytes, rests: list[bytes]) -> Iterator[StoredWindow]:
    for rest in rests:
        length, start = _window_of(rest) or (0, 0)
        with client.pipeline(transaction=True) as pipe:
            pipe.pttl(prefix + rest)
            pipe.hgetall((prefix + rest).decode())
            left, fields = pipe.execute()
        if fields:
            yield StoredWindow(length, start, left, fields)


def _window_of(rest: bytes) -> tuple[int, int] | None:
    """Length and start out of a window's name, ms; None where they are not two numbers that fit."""
    length, _, start = rest.partition(b":")
    if not (length.isdigit() and start.isdigit()) or int(length) == 0 or int(start) % int(length):
        return None
    return int(length), int(start)
