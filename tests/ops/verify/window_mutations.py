"""Damage to the counts of windows, generated from their layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from inference.counts.profile import FEATURES, TALLIES, TALLY, pack_profile, unpack_profile
from tests.ops.verify.damage import Mutation, delete, keys, name_of
from tests.ops.verify.live import Live


def of_windows() -> Iterator[Mutation]:
    for feature in FEATURES:
        named = f"window.{feature.name}"
        yield Mutation(f"{named} + 1", named, _profile(lambda c, f=feature: _add(c, f.cells.start)))  # type: ignore[misc]
        yield Mutation(f"{named}: a vote moved", named, _profile(lambda c, f=feature: _move(c, f.cells)))  # type: ignore[misc]
    for name in TALLIES:
        named = f"window.tally.{name}"
        yield Mutation(f"{named} + 1", named, _profile(lambda c, n=name: _add(c, TALLY[n])))  # type: ignore[misc]
    yield Mutation(
        "window: profile damaged", "window.profile", _field(lambda name, raw: (name, b"\xff" + raw[1:]))
    )
    yield Mutation("window: field deleted", "window.field", _field(lambda name, raw: (name, None)))
    yield Mutation("window: of another store", "window.nobody", _field(lambda name, raw: (name + b"x", raw)))
    yield Mutation("window: expiry", "window.expiry", _persist)
    yield Mutation("window: deleted", "window.row", lambda live: delete(live, keys(live, b"window:")[:1]))
    yield Mutation("window: all deleted", "window.row", lambda live: delete(live, keys(live, b"window:")))
    yield Mutation("window: of no event", "window.nobody", _window_of_nobody)


def _add(counts: Any, cell: int) -> None:
    counts[cell] += 1


def _move(counts: Any, cells: slice) -> None:
    """Two votes of the fullest cell go far away: one could be a tie."""
    mine = counts[cells]
    fullest = int(np.argmax(mine))
    mine[fullest] -= 1
    mine[(fullest + len(mine) // 2) % len(mine)] += 1


def _profile(change: Callable[[Any], None]) -> Callable[[Live], None]:
    def changed(name: bytes, raw: bytes) -> tuple[bytes, bytes]:
        counts = unpack_profile(raw)
        change(counts)
        return name, pack_profile(counts)

    return _field(changed)


def _field(change: Callable[[bytes, bytes], tuple[bytes, bytes | None]]) -> Callable[[Live], None]:
    def damage(live: Live) -> None:
        key = max(keys(live, b"window:"), key=lambda name: live.client.hlen(name.decode())).decode()
        fields: dict[bytes, bytes] = live.client.hgetall(key)  # type: ignore[assignment]
        field = max(fields, key=lambda name: len(fields[name]))
        name, raw = change(field, fields[field])
        if raw is None:
            live.client.hdel(key, name)  # type: ignore[arg-type]
        else:
            live.client.hset(key, name, raw)  # type: ignore[arg-type]

    return damage


def _persist(live: Live) -> None:
    live.client.persist(keys(live, b"window:")[0])


def _window_of_nobody(live: Live) -> None:
    key = keys(live, b"window:")[0]
    far = name_of(live, b"window:%d:0" % live.windows.length_ms)
    live.client.copy(key.decode(), far.decode())
