"""Putting single values of a partition right, behind the fence: what `simpersona verify --repair` writes.

A value is changed only if it still reads what verification saw: a worker that wrote it since knows better.
The fence moves with every change, so a live worker drops what it has in memory and reads the store again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import redis
from redis.exceptions import WatchError

from feature_store.errors import FencedError
from feature_store.online.encoding import Progress
from feature_store.online.keys import PROGRESS
from feature_store.online.migrations import ROW_VERSION

_FIXES_A_TRANSACTION: Final = 500
_TRIES: Final = 20


class Fix(NamedTuple):
    """One value of the store that must be another.

    name: the key, without the partition's prefix. member: of a sorted set or a hash; None for a plain key.
    seen is what verification read, wanted what the log says; None: not there. A sorted set has times (ms).
    left_ms: how long the key may live from now on; a fix of that alone has neither value.
    """

    name: bytes
    member: bytes | None
    seen: bytes | float | None
    wanted: bytes | float | None
    left_ms: int | None = None


def mend(client: redis.Redis, prefix: bytes, fixes: Sequence[Fix]) -> int:
    """Make values of a partition what they must be; returns how many were changed.

    prefix: of the partition's keys.

    Raises:
        RowVersionError: the progress row cannot be read, so that there is no fence to move.
        FencedError: a worker writes the same values all the time; some may be changed.
    """
    pieces = range(0, len(fixes), _FIXES_A_TRANSACTION)
    return sum(_mend(client, prefix, fixes[at : at + _FIXES_A_TRANSACTION]) for at in pieces)


def _mend(client: redis.Redis, prefix: bytes, fixes: Sequence[Fix]) -> int:
    for _ in range(_TRIES):
        with client.pipeline(transaction=True) as pipe, contextlib.suppress(WatchError):
            return _try(pipe, prefix, fixes)
    raise FencedError("a worker writes the values that are to be put right: stop the workers, verify again")


def _try(pipe: Any, prefix: bytes, fixes: Sequence[Fix]) -> int:
    fence = prefix + PROGRESS
    pipe.watch(fence, *{prefix + fix.name for fix in fixes})
    progress = Progress.from_bytes(pipe.get(fence) or b"")
    still = [fix for fix in fixes if _value(pipe, prefix, fix) == fix.seen]
    pipe.multi()
    for fix in still:
        if fix.name == PROGRESS:
            assert isinstance(fix.wanted, bytes)
            progress = Progress.from_bytes(fix.wanted)
        else:
            _write(pipe, prefix + fix.name, fix)
    # Rows are written in the present version: an earlier release must not take the partition over again.
    moved = progress._replace(sequence=progress.sequence + 1, row_version=ROW_VERSION)
    pipe.set(fence, moved.to_bytes())
    pipe.execute()
    return len(still)


def _value(pipe: Any, prefix: bytes, fix: Fix) -> bytes | float | None:
    """What a fix's value reads now."""
    if fix.member is None:
        if fix.seen is None and fix.wanted is None:  # of its expiry alone
            return None
        value: bytes | float | None = pipe.get(prefix + fix.name)
    elif _is_of_hash(fix):
        value = pipe.hget(prefix + fix.name, fix.member)
    else:
        value = pipe.zscore(prefix + fix.name, fix.member)
    return value


def _write(pipe: Any, key: bytes, fix: Fix) -> None:
    if fix.member is None:
        if fix.wanted is not None:
            pipe.set(key, fix.wanted)
        elif fix.seen is not None:
            pipe.delete(key)
    elif _is_of_hash(fix):
        pipe.hdel(key, fix.member) if fix.wanted is None else pipe.hset(key, fix.member, fix.wanted)
    elif fix.wanted is None:
        pipe.zrem(key, fix.member)
    else:
        pipe.zadd(key, {fix.member: fix.wanted})
    if fix.left_ms is not None:
        pipe.pexpire(key, fix.left_ms)


def _is_of_hash(fix: Fix) -> bool:
    return isinstance(fix.seen, bytes) or isinstance(fix.wanted, bytes)
