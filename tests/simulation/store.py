"""The online store in memory: the Redis commands that the rows use, WATCH, and the fence's script in Python.

tests/simulation/test_store.py holds it against a real Valkey, command by command.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import ConnectionError as StoreGoneError
from redis.exceptions import NoScriptError, WatchError
from redis.exceptions import TimeoutError as NoAnswerError

from feature_store.online import fence
from feature_store.online.assignment import OFFSET_DIGITS
from tests.simulation.outside import Process, SimClock

Key = str | bytes
_DAMAGE = b"\xffdamaged"
"""In front of a value: no row of any version begins so, and no number."""


def _name(key: Key) -> bytes:
    return key.encode() if isinstance(key, str) else key


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class Server:
    """The data of one server; clients of several processes share it."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self.data: dict[bytes, Any] = {}
        self.ends_ms: dict[bytes, int] = {}
        self.scripts: set[str] = set()
        self.changes: dict[bytes, int] = {}
        self.is_gone = False
        self._cursors: dict[int, bytes] = {}
        self._kept: tuple[dict[bytes, Any], dict[bytes, int]] = {}, {}

    def keep(self) -> None:
        """Remember the data as they are: what the disk would have after a crash."""
        self._kept = copy.deepcopy(self.data), dict(self.ends_ms)

    def go_back(self) -> None:
        """A restart that lost what came after `keep`; scripts are lost as in any restart."""
        for key in {*self.data, *self._kept[0]}:
            self._changed(key)
        self.data, self.ends_ms = copy.deepcopy(self._kept[0]), dict(self._kept[1])
        self.scripts.clear()

    def damage(self, part: bytes, end: bytes) -> None:
        """Make values whose names hold `part` and end so unreadable, until `mend`."""
        for name, value in self.data.items():
            if part in name and name.endswith(end):
                self._rewrite(name, value, lambda row: row if row.startswith(_DAMAGE) else _DAMAGE + row)

    def mend(self) -> None:
        """Undo the damage of every value that is still damaged."""
        for name, value in self.data.items():
            self._rewrite(name, value, lambda row: row.removeprefix(_DAMAGE))

    def _rewrite(self, name: bytes, value: Any, row: Callable[[bytes], bytes]) -> None:
        """Change a plain value, or every value of a hash."""
        if isinstance(value, bytes):
            new: Any = row(value)
        else:
            new = {member: row(it) if isinstance(it, bytes) else it for member, it in value.items()}
        if new != value:
            self.data[name] = new
            self._changed(name)

    # ---- commands

    def do(self, command: str, *args: Any) -> Any:
        """Run a command."""
        return getattr(self, f"_{command}")(*args)

    def _changed(self, key: bytes) -> None:
        self.changes[key] = self.changes.get(key, 0) + 1

    def _get(self, key: Key) -> bytes | None:
        found = self.data.get(_name(key))
        assert found is None or isinstance(found, bytes)
        return found

    def _set(self, key: Key, value: Any, nx: bool = False) -> bool | None:
        name = _name(key)
        if nx and name in self.data:
            return None
        self.data[name] = _bytes(value)
        self._changed(name)
        return True

    def _mget(self, keys: Iterable[Key], *more: Key) -> list[bytes | None]:
        every = [keys, *more] if isinstance(keys, str | bytes) else [*keys, *more]
        return [self._get(key) for key in every]

    def _mset(self, values: Mapping[Key, Any]) -> bool:
        for key, value in values.items():
            self._set(key, value)
        return True

    def _delete(self, *keys: Key) -> int:
        gone = 0
        for key in keys:
            if self.data.pop(_name(key), None) is not None:
                self._changed(_name(key))
                gone += 1
        return gone

    def _zadd(self, key: Key, scores: Mapping[bytes, float]) -> int:
        held = self.data.setdefault(_name(key), {})
        fresh = len(scores.keys() - held.keys())
        held.update({member: float(score) for member, score in scores.items()})
        self._changed(_name(key))
        return fresh

    def _zrem(self, key: Key, *members: bytes) -> int:
        held = self.data.get(_name(key), {})
        gone = [held.pop(member) for member in members if member in held]
        if not held:
            self.data.pop(_name(key), None)
        self._changed(_name(key))
        return len(gone)

    def _zrangebyscore(
        self,
        key: Key,
        low: str | float,
        high: str | float,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
    ) -> list[Any]:
        bound = str(high)
        below, limit = bound.startswith("("), float(bound.lstrip("("))
        least = float(low)
        held = sorted(self.data.get(_name(key), {}).items(), key=lambda pair: (pair[1], pair[0]))
        found = [
            (member, score)
            for member, score in held
            if score >= least and (score < limit if below else score <= limit)
        ]
        part = found if start is None or num is None else found[start : start + num]
        return part if withscores else [member for member, _ in part]

    def _zrange(self, key: Key, start: int, end: int, withscores: bool = False) -> list[Any]:
        found = self._zrangebyscore(key, "-inf", "+inf", withscores=True)
        part = found[start:] if end == -1 else found[start : end + 1]
        return part if withscores else [member for member, _ in part]

    def _zscan_iter(self, key: Key, count: int) -> list[tuple[bytes, float]]:
        return list(self.data.get(_name(key), {}).items())

    def _scan_iter(self, match: bytes, count: int) -> list[bytes]:
        self._expired()
        pattern = re.compile(_glob(match), re.DOTALL)
        return [name for name in self.data if pattern.fullmatch(name)]

    def _pttl(self, key: Key) -> int:
        if _name(key) not in self.data:
            return -2
        return self.ends_ms.get(_name(key), self._now_ms() - 1) - self._now_ms()

    def _hset(self, key: Key, mapping: Mapping[bytes, bytes]) -> int:
        self.data.setdefault(_name(key), {}).update(mapping)
        self._changed(_name(key))
        return len(mapping)

    def _hgetall(self, key: Key) -> dict[bytes, bytes]:
        self._expired()
        return dict(self.data.get(_name(key), {}))

    def _hlen(self, key: Key) -> int:
        return len(self.data.get(_name(key), {}))

    def _hmget(self, key: Key, fields: Sequence[bytes]) -> list[bytes | None]:
        held = self.data.get(_name(key), {})
        return [held.get(field) for field in fields]

    def _hdel(self, key: Key, *fields: bytes) -> int:
        return self._zrem(key, *fields)

    def _hscan_iter(self, key: Key, count: int) -> list[tuple[bytes, bytes]]:
        return list(self.data.get(_name(key), {}).items())

    def _expire(self, key: Key, seconds: int) -> bool:
        self.ends_ms[_name(key)] = self._now_ms() + seconds * 1000
        return True

    def _now_ms(self) -> int:
        """The server's own clock, which does not jump with the workers'."""
        return round(self._clock.at_s * 1000)

    def _expired(self) -> None:
        for key in [key for key, end in self.ends_ms.items() if end <= self._now_ms()]:
            del self.ends_ms[key]
            self.data.pop(key, None)

    def _scan(self, cursor: int, match: bytes, count: int) -> tuple[int, list[bytes]]:
        """A few keys at a time, in name order, so that a walk takes several turns. Like Redis it gives every
        key that is there all the time, whatever else comes and goes: a cursor is the place of a name."""
        pattern = re.compile(_glob(match), re.DOTALL)
        after = self._cursors.get(cursor, b"")
        names = sorted(name for name in self.data if name > after and pattern.fullmatch(name))
        part = names[:3]
        if len(names) <= len(part):
            return 0, part
        self._cursors[len(self._cursors) + 1] = part[-1]
        return len(self._cursors), part

    def _script_load(self, _script: str) -> str:
        self.scripts.add(fence.PERSONA_SCRIPT_SHA)
        return fence.PERSONA_SCRIPT_SHA

    def _evalsha(self, sha: str, count: int, *keys_and_args: bytes) -> int:
        if sha not in self.scripts:
            raise NoScriptError("NOSCRIPT No matching script.")
        assert sha == fence.PERSONA_SCRIPT_SHA, "a script that the simulation does not know"
        keys, (progress, writes, same, *rows) = keys_and_args[:count], keys_and_args[count:]
        if (self._get(keys[0]) or b"") != progress or (self._get(keys[1]) or b"0") != _bytes(writes):
            return 0
        for key, new in zip(keys[2:], rows, strict=True):
            old = self._get(key)
            newer = old is not None and old[:OFFSET_DIGITS] > new[:OFFSET_DIGITS]
            if not (newer and old is not None and same in old[OFFSET_DIGITS:]):
                self._set(key, new)
        self._set(keys[1], int(writes) + 1)
        return int(writes) + 1


def _glob(match: bytes) -> bytes:
    out, i = b"", 0
    while i < len(match):
        one = match[i : i + 1]
        if one == b"\\":
            i += 1
            out += re.escape(match[i : i + 1])
        elif one == b"*":
            out += b".*"
        else:
            out += re.escape(one)
        i += 1
    return out


class Client:
    """redis.Redis of one process. A call stops outside first; then it meets the faults that wait for it."""

    def __init__(self, server: Server, process: Process | None = None) -> None:
        self._server, self._process = server, process

    def close(self) -> None:
        """Nothing to close."""

    def pipeline(self, transaction: bool) -> Pipeline:
        return Pipeline(self, transaction)

    def call(self, commands: list[tuple[str, tuple[Any, ...], dict[str, Any]]], writes: bool) -> list[Any]:
        """One round trip."""
        self.reach()
        answers = [getattr(self._server, f"_{name}")(*args, **kwargs) for name, args, kwargs in commands]
        self.answer(writes)
        return answers

    def reach(self) -> None:
        """On the way there: others run first, and the server may be gone."""
        if self._process is not None:
            self._process.outside()
        if self._server.is_gone:
            raise StoreGoneError("connection refused")

    def answer(self, writes: bool) -> None:
        """On the way back: the answer to a write may be lost."""
        if writes and self._process is not None and self._process.answer_lost:
            self._process.answer_lost = False
            raise NoAnswerError("timed out")

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.call([(name, args, kwargs)], writes=name in _WRITES)[0]

        return call


class Pipeline:
    """Commands of one round trip; with WATCH, none of them if a watched key changed meanwhile."""

    def __init__(self, client: Client, transaction: bool) -> None:
        self._client, self._queue = client, []  # type: ignore[var-annotated]
        self._transaction, self._queueing = transaction, True
        self._watched: dict[bytes, int] = {}

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def watch(self, *keys: Key) -> None:
        self._client.reach()
        self._watched |= {_name(key): self._client._server.changes.get(_name(key), 0) for key in keys}
        self._queueing = False

    def multi(self) -> None:
        self._queueing = True

    def execute(self) -> list[Any]:
        if not self._queue:
            return []
        self._client.reach()
        server = self._client._server
        if any(server.changes.get(key, 0) != change for key, change in self._watched.items()):
            raise WatchError("watched variable changed")
        answers = [getattr(server, f"_{name}")(*args, **kwargs) for name, args, kwargs in self._queue]
        writes = any(name in _WRITES for name, _, _ in self._queue)
        self._queue = []
        self._client.answer(writes)
        return answers

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._queueing:
                self._queue.append((name, args, kwargs))
                return self
            return getattr(self._client._server, f"_{name}")(*args, **kwargs)

        return call


_WRITES = {"set", "mset", "delete", "zadd", "zrem", "hset", "hdel", "evalsha"}
