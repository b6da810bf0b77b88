"""Writing rows behind the fence: nothing is written unless the progress row reads what its owner wrote last.

A checkpoint is one transaction (docs/adr/0004). Persona rows change between checkpoints, in a script that
looks at the same fence first: one call for many rows, and no worker that lost the partition writes any, not
even one of a buyer who was erased meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import redis
from redis.exceptions import NoScriptError, WatchError

from feature_store.errors import FencedError
from feature_store.online.assignment import OFFSET_DIGITS, pack_persona
from feature_store.online.client import reply
from feature_store.online.encoding import Progress, Tagged
from feature_store.online.keys import (
    CALIBRATIONS,
    CODEBOOK,
    OPEN,
    OPT_OUTS,
    PERSONA,
    PERSONA_WRITES,
    PROGRESS,
    STATE,
    Keys,
)

_ROWS_PER_CALL: Final = 1_000  # Lua runs alone in the server: keep a call under a few ms

# KEYS: the fence, the count of writes, then the rows. ARGV: what both must read, what marks a row of the same
# codebook version, then the new rows. A row begins with its offset in so many digits that strings compare.
_PERSONA_SCRIPT: Final = f"""
if redis.call('GETRANGE', KEYS[1], 0, -1) ~= ARGV[1] then return 0 end
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[2] then return 0 end
for i = 3, #KEYS do
  local old, new = redis.call('GET', KEYS[i]), ARGV[i + 1]
  local newer = old and string.sub(old, 1, {OFFSET_DIGITS}) > string.sub(new, 1, {OFFSET_DIGITS})
  local stays = newer and string.find(old, ARGV[3], {OFFSET_DIGITS + 1}, true)
  if not stays then redis.call('SET', KEYS[i], new) end
end
return redis.call('INCR', KEYS[2])
"""
PERSONA_SCRIPT_SHA: Final = hashlib.sha1(_PERSONA_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Persona(NamedTuple):
    """A persona to write: the buyer's Kafka key, the offset after which it holds, the assignment as JSON."""

    key: bytes
    offset: int
    body: bytes


class Windows(NamedTuple):
    """What a checkpoint changes in the counts of windows: their length (ms), how long the store keeps them
    (s of wall clock), and start of the window (ms) -> field -> row."""

    length_ms: int
    keep_s: int
    changed: Mapping[int, Mapping[bytes, bytes]]


@dataclass
class Checkpoint:
    """What one checkpoint changes in one partition."""

    progress: Progress
    rows: dict[bytes, bytes] = field(default_factory=dict)
    opened: dict[bytes, int] = field(default_factory=dict)
    """Buyers whose session end is still to be announced -> time of their last event (ms)."""
    closed: list[bytes] = field(default_factory=list)
    erased: list[bytes] = field(default_factory=list)
    """Buyers whose rows go. Who is in `rows` as well has a new life: that state stays, and its persona."""
    windows: Windows | None = None
    tagged: Tagged | None = None
    """Under which codebook version the partition is tagged; None leaves it as it is."""
    calibrations: Mapping[bytes, bytes] = field(default_factory=dict)
    """Offset in the log -> record, of calibrations that were passed since the last checkpoint."""
    opt_outs: Mapping[bytes, bytes | None] = field(default_factory=dict)
    """Kafka key -> offset after the withdrawal, of buyers who opted out; None: of those who came back."""


def write_checkpoint(
    client: redis.Redis,
    keys: Keys,
    partition: int,
    change: Checkpoint,
    expected: Progress | None,
    persona_writes: int | None,
) -> None:
    """Write a change in one transaction, if the fence reads `expected`; see OnlineRows.checkpoint.

    Raises:
        FencedError: the fence reads otherwise; nothing was written.
    """
    prefix = keys.of(partition)
    with client.pipeline(transaction=True) as pipe:
        pipe.watch(prefix + PROGRESS, prefix + PERSONA_WRITES)  # type: ignore[no-untyped-call]
        stored, writes = reply(pipe.mget(prefix + PROGRESS, prefix + PERSONA_WRITES))
        if stored != (None if expected is None else expected.to_bytes()):
            raise FencedError(f"partition {partition} was written by another owner")
        if persona_writes is not None and int(writes or 0) != persona_writes:
            raise FencedError(f"persona rows of partition {partition} were lost or written by another")
        pipe.multi()
        _queue(pipe, keys, partition, change)
        try:
            pipe.execute()
        except WatchError:
            raise FencedError(f"partition {partition} was written by another owner") from None


def _queue(pipe: Any, keys: Keys, partition: int, change: Checkpoint) -> None:
    prefix = keys.of(partition)
    if change.erased:  # first: a new life may begin in the same checkpoint
        pipe.zrem(prefix + OPEN, *change.erased)
        if gone := [key for key in change.erased if key not in change.rows]:
            pipe.delete(*(prefix + kind + key for key in gone for kind in (STATE, PERSONA)))
    if change.rows:
        pipe.mset({prefix + STATE + key: row for key, row in change.rows.items()})
    if change.opened:
        pipe.zadd(prefix + OPEN, change.opened)
    if change.closed:
        pipe.zrem(prefix + OPEN, *change.closed)
    if change.windows is not None:
        for start, fields in change.windows.changed.items():
            name = keys.window(partition, change.windows.length_ms, start)
            pipe.hset(name, mapping=dict(fields))
            pipe.expire(name, change.windows.keep_s)
    if change.calibrations:
        pipe.hset((prefix + CALIBRATIONS).decode(), mapping=dict(change.calibrations))
    if out := {key: row for key, row in change.opt_outs.items() if row is not None}:
        pipe.hset((prefix + OPT_OUTS).decode(), mapping=out)
    if back := [key for key, row in change.opt_outs.items() if row is None]:
        pipe.hdel((prefix + OPT_OUTS).decode(), *back)
    if change.tagged is not None:
        pipe.set(prefix + CODEBOOK, change.tagged.to_bytes())
    pipe.set(prefix + PROGRESS, change.progress.to_bytes())


def write_personas(
    client: redis.Redis,
    keys: Keys,
    personas: Mapping[int, Sequence[Persona]],
    same_version: bytes,
    expected: Mapping[int, tuple[Progress | None, int]],
) -> dict[int, int]:
    """Write personas by partition; see OnlineRows.write_personas.

    Raises:
        FencedError: a partition's fence reads otherwise; nothing of that partition was written.
    """
    try:
        writes = _call(client, keys, personas, same_version, expected)
    except NoScriptError:  # the server was restarted, or this is its first script
        client.script_load(_PERSONA_SCRIPT)
        writes = _call(client, keys, personas, same_version, expected)
    if not all(writes.values()):
        raise FencedError("a persona's partition was written by another owner")
    return writes


def _call(
    client: redis.Redis,
    keys: Keys,
    personas: Mapping[int, Sequence[Persona]],
    same_version: bytes,
    expected: Mapping[int, tuple[Progress | None, int]],
) -> dict[int, int]:
    """Returns partition -> how often persona rows were written there by now; 0 where the fence refused."""
    asked: list[int] = []
    with client.pipeline(transaction=False) as pipe:
        for partition, rows in personas.items():
            prefix = keys.of(partition)
            progress, writes = expected[partition]
            fence = b"" if progress is None else progress.to_bytes()
            for call, at in enumerate(range(0, len(rows), _ROWS_PER_CALL)):
                chunk = rows[at : at + _ROWS_PER_CALL]
                places = [prefix + PERSONA + key for key, _, _ in chunk]
                names = [prefix + PROGRESS, prefix + PERSONA_WRITES, *places]
                packed = [pack_persona(offset, body) for _, offset, body in chunk]
                arguments: list[bytes | int] = [fence, writes + call, same_version, *packed]
                pipe.evalsha(PERSONA_SCRIPT_SHA, len(names), *names, *arguments)
                asked.append(partition)
        answers = pipe.execute()
    # Of several calls for a partition the last answer counts, or the refusal.
    refused = {partition for partition, answer in zip(asked, answers, strict=True) if not answer}
    return dict(zip(asked, map(int, answers), strict=True)) | dict.fromkeys(refused, 0)
