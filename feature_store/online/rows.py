"""The online store: where a partition's rows lie, reading them, and the fenced checkpoint that changes them.

Every key of a partition carries the hash tag {topic:partition}, so that a partition lives in one
cluster slot and one transaction can span it:

    {clickstream:3}:progress        "<next offset> <watermark ms> <sequence>": the truth about what is folded
    {clickstream:3}:state:<key>     a StateRow, changed only inside a checkpoint
    {clickstream:3}:open            sorted set: buyers whose session end is not announced, by last event time
    {clickstream:3}:persona:<key>   the current persona, written at once, behind the same fence
    {clickstream:3}:persona-writes  how often persona rows were written: shows a store that went back
    {clickstream:3}:codebook        "<codebook version> walking|done": under which the personas are said
    {clickstream:3}:window:300000:<start>  hash: what was counted of a window of event time, changed only
                                    inside a checkpoint; expires

The progress row is also the fence: a write goes through only if it still reads what this worker
wrote last (docs/adr/0004). <key> is the Kafka key, `store|buyer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import redis
from redis.exceptions import RedisError, WatchError

from feature_store.errors import EmptyStoreError, FencedError, OnlineStoreError, PartitionCountError
from feature_store.online import persona_rows
from feature_store.online.encoding import Progress, Tagged
from feature_store.online.mending import Fix, mend
from feature_store.online.stored import StoredPartition, Wanted, escape, read_stored

_SCAN_COUNT: Final = 2_000


class Windows(NamedTuple):
    """What a checkpoint changes in the counts of windows: their length (ms), how long the store keeps them
    (s of wall clock), and start of the window (ms) -> field -> row."""

    length_ms: int
    keep_s: int
    changed: Mapping[int, Mapping[bytes, bytes]]


class Owned(NamedTuple):
    """What the store says of a partition as a whole: how far it is folded, under which codebook version its
    personas are, and how often persona rows were written."""

    progress: Progress | None
    tagged: Tagged | None
    persona_writes: int


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


class OnlineRows:
    """The partitioned store, over one Redis-protocol connection pool. Safe to share between threads."""

    def __init__(self, url: str, topic: str) -> None:
        """`url` is redis://, rediss:// or unix://; `topic` names the clickstream topic."""
        # 5 s: a checkpoint of thousands of rows takes milliseconds; longer is an outage, not a queue.
        self._redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self.topic = topic

    @classmethod
    def over(cls, client: redis.Redis, topic: str) -> OnlineRows:
        """The store behind a client that is open already."""
        rows = cls.__new__(cls)
        rows._redis, rows.topic = client, topic
        return rows

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def claim_partition_count(self, partitions: int) -> None:
        """Record the topic's partition count at first use; refuse another one later.

        Raises:
            PartitionCountError: the store was filled with another count: buyers would change place.
        """
        with _store_errors():
            key = f"simpersona:{self.topic}:partitions"
            self._redis.set(key, partitions, nx=True)
            known = int(_answer(self._redis.get(key)) or 0)
        if known != partitions:
            raise PartitionCountError(
                f"topic {self.topic} has {partitions} partitions, the store was filled with {known}: "
                "buyers would move between partitions; restore the count or backfill an empty store"
            )

    def partition_count(self) -> int:
        """The recorded partition count.

        Raises:
            EmptyStoreError: no worker has run yet.
            OnlineStoreError: the store does not answer.
        """
        with _store_errors():
            known = _answer(self._redis.get(f"simpersona:{self.topic}:partitions"))
        if known is None:
            raise EmptyStoreError(f"the store holds nothing of topic {self.topic}: has a worker run yet?")
        return int(known)

    def stored_partition_count(self) -> bytes | None:
        """The recorded partition count, raw; None where no worker has run yet."""
        with _store_errors():
            raw: bytes | None = _answer(self._redis.get(f"simpersona:{self.topic}:partitions"))
            return raw

    def progress(self, partition: int) -> Progress | None:
        """How far a partition is folded; None where nothing was."""
        return self.progress_of([partition])[partition]

    def progress_of(self, partitions: Sequence[int]) -> dict[int, Progress | None]:
        """How far each partition is folded, in one round trip."""
        with _store_errors(), self._redis.pipeline(transaction=False) as pipe:
            for partition in partitions:
                pipe.get(self._key(partition, "progress"))
            found = pipe.execute()
        return {p: raw and Progress.from_bytes(raw) for p, raw in zip(partitions, found, strict=True)}

    def owned_of(self, partitions: Sequence[int]) -> dict[int, Owned]:
        """What the store says of each partition as a whole, of one moment each, in one round trip."""
        with _store_errors(), self._redis.pipeline(transaction=False) as pipe:
            for partition in partitions:
                names = ("progress", "codebook", "persona-writes")
                pipe.mget(*(self._key(partition, name) for name in names))
            found = pipe.execute()
        return {
            number: Owned(
                progress and Progress.from_bytes(progress),
                tagged and Tagged.from_bytes(tagged),
                int(writes or 0),
            )
            for number, (progress, tagged, writes) in zip(partitions, found, strict=True)
        }

    def read_states(self, wanted: Mapping[int, Sequence[bytes]]) -> dict[int, list[bytes | None]]:
        """State rows of the keys wanted by partition, in one round trip; None for an unknown buyer."""
        return self._read("state:", wanted)

    def read_personas(self, wanted: Mapping[int, Sequence[bytes]]) -> dict[int, list[bytes | None]]:
        """Persona rows (JSON of an assignment) of the keys wanted by partition, in one round trip."""
        found = self._read("persona:", wanted)
        return {p: [row and row[persona_rows.OFFSET_DIGITS :] for row in rows] for p, rows in found.items()}

    def _read(self, kind: str, wanted: Mapping[int, Sequence[bytes]]) -> dict[int, list[bytes | None]]:
        asked = [partition for partition, keys in wanted.items() if keys]
        with _store_errors(), self._redis.pipeline(transaction=False) as pipe:
            for partition in asked:
                prefix = self._key(partition, kind)
                pipe.mget([prefix + key for key in wanted[partition]])
            return dict(zip(asked, pipe.execute(), strict=True))

    def checkpoint(
        self, partition: int, change: Checkpoint, expected: Progress | None, persona_writes: int | None = None
    ) -> None:
        """Write a partition's dirty rows and its new progress in one fenced transaction.

        persona_writes: how often this owner knows that persona rows were written; None for who writes none.
        A store that went back between two checkpoints still reads `expected`, and gives itself away by this.

        Raises:
            FencedError: the stored progress is not `expected`, or persona rows were written otherwise than
                by this owner: another one wrote, or the store was rolled back. Nothing was written; drop
                the cache, read again and seek.
            OnlineStoreError: the store did not answer; whether it wrote is unknown: treat as fenced.
        """
        progress_key = self._key(partition, "progress")
        state, open_key = self._key(partition, "state:"), self._key(partition, "open")
        with _store_errors(), self._redis.pipeline(transaction=True) as pipe:
            writes_key = self._key(partition, "persona-writes")
            pipe.watch(progress_key, writes_key)  # type: ignore[no-untyped-call]
            stored, writes = _answer(pipe.mget(progress_key, writes_key))
            if stored != (None if expected is None else expected.to_bytes()):
                raise FencedError(f"partition {partition} was written by another owner")
            if persona_writes is not None and int(writes or 0) != persona_writes:
                raise FencedError(f"persona rows of partition {partition} were lost or written by another")
            pipe.multi()
            if change.erased:  # first: a new life may begin in the same checkpoint
                persona = self._key(partition, "persona:")
                pipe.zrem(open_key, *change.erased)
                if gone := [key for key in change.erased if key not in change.rows]:
                    pipe.delete(*(prefix + key for key in gone for prefix in (state, persona)))
            if change.rows:
                pipe.mset({state + key: row for key, row in change.rows.items()})
            if change.opened:
                pipe.zadd(open_key, change.opened)
            if change.closed:
                pipe.zrem(open_key, *change.closed)
            if change.windows is not None:
                for start, fields in change.windows.changed.items():
                    key = self._window_key(partition, change.windows.length_ms, start)
                    pipe.hset(key, mapping=dict(fields))
                    pipe.expire(key, change.windows.keep_s)
            if change.tagged is not None:
                pipe.set(self._key(partition, "codebook"), change.tagged.to_bytes())
            pipe.set(progress_key, change.progress.to_bytes())
            try:
                pipe.execute()
            except WatchError:
                raise FencedError(f"partition {partition} was written by another owner") from None

    def write_personas(
        self,
        personas: Mapping[int, Sequence[persona_rows.Persona]],
        same_version: bytes,
        expected: Mapping[int, tuple[Progress | None, int]],
    ) -> dict[int, int]:
        """Make personas readable at once: partition -> (key, offset, JSON). Returns partition -> how often
        persona rows were written there by now.

        Among rows of one codebook version, which are those that hold the bytes `same_version`, an older
        offset never wins; a row of another version is always replaced.

        Raises:
            FencedError: a partition's stored progress, or how often its persona rows were written, is not
                `expected`: another owner wrote, or the store went back. Nothing of that partition was
                written.
            OnlineStoreError: the store did not answer.
        """
        known = {number: expected[number] for number in personas}
        fences = {n: (b"" if at is None else at.to_bytes(), writes) for n, (at, writes) in known.items()}
        with _store_errors():
            writes = persona_rows.write(self._redis, self._key, personas, same_version, fences)
        if not all(writes.values()):
            raise FencedError("a persona's partition was written by another owner")
        return writes

    def read_windows(
        self, partitions: Sequence[int], length_ms: int, numbers: Sequence[int]
    ) -> dict[int, list[tuple[bytes, bytes]]]:
        """Counts of these windows in these partitions: window number -> (field, row); one round trip."""
        asked = [(partition, number) for number in numbers for partition in partitions]
        with _store_errors(), self._redis.pipeline(transaction=False) as pipe:
            for partition, number in asked:
                pipe.hgetall(self._window_key(partition, length_ms, number * length_ms))
            found: dict[int, list[tuple[bytes, bytes]]] = {}
            for (_, number), fields in zip(asked, pipe.execute(), strict=True):
                if fields:
                    found.setdefault(number, []).extend(fields.items())
            return found

    def sessions_to_end(self, partition: int, last_event_before: int, limit: int) -> list[bytes]:
        """Keys of buyers whose last event lies before a time (ms) and whose session end is not announced."""
        with _store_errors():
            found = self._redis.zrangebyscore(
                self._key(partition, "open"), "-inf", f"({last_event_before}", start=0, num=limit
            )
        return list(_answer(found))

    def scan_states(self, partition: int, cursor: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Some (key, state row) of a partition, and the cursor to go on from; 0 begins and ends a scan.

        Who is there during the whole scan comes at least once; no rows do not mean the end.
        """
        return self._scan(partition, "state:", cursor)

    def all_states(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, state row) of a partition; a scan, for verification and background work."""
        return self._all(partition, "state:")

    @staticmethod
    def answers() -> AbstractContextManager[None]:
        """A place for reading what `stored` returned: errors of the store become OnlineStoreError."""
        return _store_errors()

    def stored_progress(self, partition: int) -> bytes | None:
        """A partition's progress row, raw: also one that cannot be read."""
        with _store_errors():
            raw: bytes | None = _answer(self._redis.get(self._key(partition, "progress")))
            return raw

    def stored(self, partition: int, wanted: Wanted | None = None) -> StoredPartition:
        """All that the store keeps of a partition, raw (see online.stored); for verification.

        wanted: of which buyers to read the rows. They are read as they are asked for: inside `answers()`.
        """
        with _store_errors():
            return read_stored(self._redis, self._key(partition, ""), wanted)

    def named(self, pattern: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(name, value) of all plain keys whose names match a glob, of any topic; a scan."""
        with _store_errors():
            for name in self._redis.scan_iter(match=pattern, count=_SCAN_COUNT):
                value = _answer(self._redis.get(name))
                if value is not None:
                    yield name, value

    def members(self, name: bytes) -> set[bytes]:
        """The members of a set."""
        with _store_errors():
            return set(_answer(self._redis.smembers(name.decode())))

    def mend(self, partition: int, fixes: Sequence[Fix]) -> int:
        """Put values of a partition right, behind the fence (see online.mending); how many were changed.

        Raises:
            RowVersionError, FencedError: see online.mending.
            OnlineStoreError: the store did not answer.
        """
        with _store_errors():
            return mend(self._redis, self._key(partition, ""), fixes)

    def all_personas(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, JSON of an assignment) of a partition's persona rows; a scan."""
        return ((key, row[persona_rows.OFFSET_DIGITS :]) for key, row in self._all(partition, "persona:"))

    def _all(self, partition: int, kind: str) -> Iterator[tuple[bytes, bytes]]:
        cursor = 0
        while True:
            cursor, found = self._scan(partition, kind, cursor)
            yield from found
            if cursor == 0:
                return

    def _scan(self, partition: int, kind: str, cursor: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        prefix = self._key(partition, kind)
        with _store_errors():
            cursor, keys = _answer(self._redis.scan(cursor, match=escape(prefix) + b"*", count=_SCAN_COUNT))
            rows = _answer(self._redis.mget(keys)) if keys else []
        found = zip(keys, rows, strict=True)
        return cursor, [(key[len(prefix) :], row) for key, row in found if row is not None]

    def clear(self) -> None:
        """Delete every row of the topic and the recorded partition count."""
        with _store_errors():
            for pattern in (b"{" + self.topic.encode() + b":*", b"simpersona:" + self.topic.encode() + b":*"):
                for key in self._redis.scan_iter(match=pattern, count=_SCAN_COUNT):
                    self._redis.delete(key)

    def _window_key(self, partition: int, length_ms: int, start: int) -> str:
        return self._key(partition, f"window:{length_ms}:{start}").decode()

    def _key(self, partition: int, rest: str) -> bytes:
        return f"{{{self.topic}:{partition}}}:{rest}".encode()


def _answer(reply: Any) -> Any:
    return reply  # redis-py types every reply as "now or awaitable"; here it is always now


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turn the client library's errors into OnlineStoreError."""
    try:
        yield
    except RedisError as error:
        raise OnlineStoreError(f"the online store did not answer: {error}") from error
