"""The online store: rows by partition and buyer, read in few round trips and written behind a fence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import redis

from feature_store.errors import EmptyStoreError, OnlineStoreError, PartitionCountError
from feature_store.online import fence
from feature_store.online.assignment import persona_body
from feature_store.online.client import reply, store_answers
from feature_store.online.encoding import Progress, Tagged
from feature_store.online.fence import Checkpoint, Persona
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
    escape,
)
from feature_store.online.mending import Fix, mend
from feature_store.online.servers.nodes import OneNode, ask, open_nodes
from feature_store.online.stored import StoredPartition, Wanted, read_stored

_SCAN_COUNT: Final = 2_000


class Owned(NamedTuple):
    """What the store says of a partition as a whole: how far it is folded, under which codebook version its
    personas are, how often persona rows were written, its calibrations: offset in the log -> record, and of
    how many buyers it knows that they have opted out."""

    progress: Progress | None
    tagged: Tagged | None
    persona_writes: int
    calibrations: Mapping[bytes, bytes] = MappingProxyType({})
    opt_outs: int = 0


class OnlineRows:
    """The partitioned store, on one server or many. Safe to share between threads."""

    def __init__(self, url: str, topic: str) -> None:
        """`url` is an address of online.servers.address; `topic` names the clickstream topic.

        Raises:
            SettingError: `url` is no address of a store.
        """
        self._nodes, self._keys, self.topic = open_nodes(url), Keys(topic), topic

    @classmethod
    def over(cls, client: redis.Redis, topic: str) -> OnlineRows:
        """The store behind a client that is open already."""
        rows = cls.__new__(cls)
        rows._nodes, rows._keys, rows.topic = OneNode(client), Keys(topic), topic
        return rows

    def close(self) -> None:
        """Close the connections."""
        self._nodes.close()

    @contextmanager
    def answers(self) -> Iterator[None]:
        """A place for asking the store, also for reading what `stored` returned: errors of its servers become
        OnlineStoreError, and the next question looks for the keys' owners anew."""
        try:
            with store_answers():
                yield
        except OnlineStoreError:
            self._nodes.lost()
            raise

    def claim_partition_count(self, partitions: int) -> None:
        """Record the topic's partition count at first use; refuse another one later.

        Raises:
            PartitionCountError: the store was filled with another count: buyers would change place.
        """
        name = self._keys.partition_count
        with self.answers():
            self._nodes.of(name).set(name, partitions, nx=True)
        known = int(self.stored_partition_count() or 0)
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
        known = self.stored_partition_count()
        if known is None:
            raise EmptyStoreError(f"the store holds nothing of topic {self.topic}: has a worker run yet?")
        return int(known)

    def stored_partition_count(self) -> bytes | None:
        """The recorded partition count, raw; None where no worker has run yet."""
        return self._get(self._keys.partition_count)

    def progress(self, partition: int) -> Progress | None:
        """How far a partition is folded; None where nothing was."""
        return self.progress_of([partition])[partition]

    def progress_of(self, partitions: Sequence[int]) -> dict[int, Progress | None]:
        """How far each partition is folded, in one round trip."""
        names = [self._keys.of(partition) + PROGRESS for partition in partitions]
        with self.answers():
            found = ask(self._nodes, names, lambda pipe, i: pipe.get(names[i]))
        return {p: raw and Progress.from_bytes(raw) for p, raw in zip(partitions, found, strict=True)}

    def owned_of(self, partitions: Sequence[int]) -> dict[int, Owned]:
        """What the store says of each partition as a whole, in two round trips.

        Progress, version and writes are of one moment. Calibrations and opt-outs are read after them: who
        wrote one in between has moved the fence.
        """
        names = [
            [self._keys.of(p) + kind for kind in (PROGRESS, CODEBOOK, PERSONA_WRITES)] for p in partitions
        ]
        held = [self._keys.of(p) + CALIBRATIONS for p in partitions]
        held += [self._keys.of(p) + OPT_OUTS for p in partitions]

        def queue(pipe: Any, i: int) -> None:
            (pipe.hgetall if i < len(partitions) else pipe.hlen)(held[i].decode())

        with self.answers():
            rows = ask(self._nodes, [first for first, *_ in names], lambda pipe, i: pipe.mget(names[i]))
            hashes = ask(self._nodes, held, queue)
        found = zip(rows, hashes[: len(partitions)], hashes[len(partitions) :], strict=True)
        return {
            number: Owned(
                progress and Progress.from_bytes(progress),
                tagged and Tagged.from_bytes(tagged),
                int(writes or 0),
                calibrations,
                opted_out,
            )
            for number, ((progress, tagged, writes), calibrations, opted_out) in zip(
                partitions, found, strict=True
            )
        }

    def read_states(self, wanted: Mapping[int, Sequence[bytes]]) -> dict[int, list[bytes | None]]:
        """State rows of the keys wanted by partition, in one round trip; None for an unknown buyer."""
        return self._read(STATE, wanted)

    def read_opt_outs(self, wanted: Mapping[int, Sequence[bytes]]) -> dict[int, list[bytes | None]]:
        """Who of the keys wanted by partition has opted out: the offset after that; None for the others."""
        asked = [partition for partition, keys in wanted.items() if keys]
        names = [self._keys.of(partition) + OPT_OUTS for partition in asked]

        def queue(pipe: Any, i: int) -> None:
            pipe.hmget(names[i].decode(), list(wanted[asked[i]]))

        if not asked:
            return {}
        with self.answers():
            return dict(zip(asked, ask(self._nodes, names, queue), strict=True))

    def read_personas(self, wanted: Mapping[int, Sequence[bytes]]) -> dict[int, list[bytes | None]]:
        """Persona rows (JSON of an assignment) of the keys wanted by partition, in one round trip."""
        found = self._read(PERSONA, wanted)
        return {p: [row and persona_body(row) for row in rows] for p, rows in found.items()}

    def _read(self, kind: bytes, wanted: Mapping[int, Sequence[bytes]]) -> dict[int, list[bytes | None]]:
        asked = [partition for partition, keys in wanted.items() if keys]
        prefixes = [self._keys.of(partition) + kind for partition in asked]

        def queue(pipe: Any, i: int) -> None:
            pipe.mget([prefixes[i] + key for key in wanted[asked[i]]])

        with self.answers():
            return dict(zip(asked, ask(self._nodes, prefixes, queue), strict=True))

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
        with self.answers():
            client = self._nodes.of(self._keys.of(partition))
            fence.write_checkpoint(client, self._keys, partition, change, expected, persona_writes)

    def write_personas(
        self,
        personas: Mapping[int, Sequence[Persona]],
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
        writes: dict[int, int] = {}
        with self.answers():
            of_client: dict[int, tuple[redis.Redis, dict[int, Sequence[Persona]]]] = {}
            for partition, rows in personas.items():
                client = self._nodes.of(self._keys.of(partition))
                of_client.setdefault(id(client), (client, {}))[1][partition] = rows
            for client, mine in of_client.values():
                writes |= fence.write_personas(client, self._keys, mine, same_version, expected)
        return writes

    def read_windows(
        self, partitions: Sequence[int], length_ms: int, numbers: Sequence[int]
    ) -> dict[int, list[tuple[bytes, bytes]]]:
        """Counts of these windows in these partitions: window number -> (field, row); one round trip."""
        asked = [(partition, number) for number in numbers for partition in partitions]
        names = [self._keys.window(p, length_ms, number * length_ms) for p, number in asked]
        with self.answers():
            answers = ask(
                self._nodes, [name.encode() for name in names], lambda pipe, i: pipe.hgetall(names[i])
            )
        found: dict[int, list[tuple[bytes, bytes]]] = {}
        for (_, number), fields in zip(asked, answers, strict=True):
            if fields:
                found.setdefault(number, []).extend(fields.items())
        return found

    def sessions_to_end(self, partition: int, last_event_before: int, limit: int) -> list[bytes]:
        """Keys of buyers whose last event lies before a time (ms) and whose session end is not announced."""
        name = self._keys.of(partition) + OPEN
        with self.answers():
            before = f"({last_event_before}"
            found = self._nodes.of(name).zrangebyscore(name, "-inf", before, start=0, num=limit)
        return list(reply(found))

    def scan_states(self, partition: int, cursor: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Some (key, state row) of a partition, and the cursor to go on from; 0 begins and ends a scan.

        Who is there during the whole scan comes at least once; no rows do not mean the end.
        """
        return self._scan(partition, STATE, cursor)

    def all_states(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, state row) of a partition; a scan, for verification and background work."""
        return self._all(partition, STATE)

    def stored_progress(self, partition: int) -> bytes | None:
        """A partition's progress row, raw: also one that cannot be read."""
        return self._get(self._keys.of(partition) + PROGRESS)

    def stored_calibrations(self, partition: int) -> dict[bytes, bytes]:
        """A partition's calibrations, raw: offset in the log -> record."""
        name = self._keys.of(partition) + CALIBRATIONS
        with self.answers():
            found: dict[bytes, bytes] = reply(self._nodes.of(name).hgetall(name.decode()))
            return found

    def stored(self, partition: int, wanted: Wanted | None = None) -> StoredPartition:
        """All that the store keeps of a partition, raw (see online.stored); for verification.

        wanted: of which buyers to read the rows. They are read as they are asked for: inside `answers()`.
        """
        prefix = self._keys.of(partition)
        with self.answers():
            return read_stored(self._nodes.of(prefix), prefix, wanted)

    def named(self, pattern: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(name, value) of all plain keys whose names match a glob, of any topic; a scan."""
        with self.answers():
            for client in self._nodes.owners():
                for name in client.scan_iter(match=pattern, count=_SCAN_COUNT):
                    value = reply(client.get(name))
                    if value is not None:
                        yield name, value

    def members(self, name: bytes) -> set[bytes]:
        """The members of a set."""
        with self.answers():
            return set(reply(self._nodes.of(name).smembers(name.decode())))

    def mend(self, partition: int, fixes: Sequence[Fix]) -> int:
        """Put values of a partition right, behind the fence (see online.mending); how many were changed.

        Raises:
            RowVersionError, FencedError: see online.mending.
            OnlineStoreError: the store did not answer.
        """
        prefix = self._keys.of(partition)
        with self.answers():
            return mend(self._nodes.of(prefix), prefix, fixes)

    def all_personas(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, JSON of an assignment) of a partition's persona rows; a scan."""
        return ((key, persona_body(row)) for key, row in self._all(partition, PERSONA))

    def _all(self, partition: int, kind: bytes) -> Iterator[tuple[bytes, bytes]]:
        cursor = 0
        while True:
            cursor, found = self._scan(partition, kind, cursor)
            yield from found
            if cursor == 0:
                return

    def _scan(self, partition: int, kind: bytes, cursor: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        prefix = self._keys.of(partition) + kind
        with self.answers():
            client = self._nodes.of(prefix)
            cursor, keys = reply(client.scan(cursor, match=escape(prefix) + b"*", count=_SCAN_COUNT))
            rows = reply(client.mget(keys)) if keys else []
        found = zip(keys, rows, strict=True)
        return cursor, [(key[len(prefix) :], row) for key, row in found if row is not None]

    def clear(self) -> None:
        """Delete every row of the topic and the recorded partition count."""
        with self.answers():
            for client in self._nodes.owners():
                for pattern in self._keys.patterns:
                    for key in client.scan_iter(match=pattern, count=_SCAN_COUNT):
                        client.delete(key)

    def _get(self, name: bytes | str) -> bytes | None:
        with self.answers():
            raw: bytes | None = reply(self._nodes.of(name).get(name))
        return raw
