"""Kafka as a worker meets it: logs with holes, a group with cooperative rebalances, a producer that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from feature_store.contract.partitions import partition_of
from tests.simulation.outside import Process, SimClock

SESSION_S: Final = 6.0
_FETCH_AHEAD: Final = 64


@dataclass(frozen=True, slots=True)
class Record:
    """A message as confluent-kafka hands it out."""

    topic_: str
    partition_: int
    offset_: int
    key_: bytes | None
    value_: bytes | None
    created_ms: int
    headers_: Sequence[tuple[str, bytes]] = ()

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.offset_

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def timestamp(self) -> tuple[int, int]:
        return 1, self.created_ms

    def headers(self) -> Sequence[tuple[str, bytes]]:
        return self.headers_


class Log:
    """One topic. Offsets without a record are what transactions leave behind."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.records: list[dict[int, Record]] = [{} for _ in range(partitions)]
        self.ends = [0] * partitions

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        now_ms: int,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Record:
        """Store a record where murmur2 puts its key, or where told."""
        if partition is None:
            partition = partition_of(key or b"", len(self.ends))
        record = Record(self.name, partition, self.ends[partition], key, value, now_ms, headers)
        self.records[partition][record.offset_] = record
        self.ends[partition] += 1
        return record

    def leave_gap(self, partition: int) -> None:
        """An offset that no reader ever gets."""
        self.ends[partition] += 1

    def range(self, partition: int, start: int, end: int) -> list[Record]:
        """The records of [start, end)."""
        held = self.records[partition]
        return [held[at] for at in range(start, min(end, self.ends[partition])) if at in held]


@dataclass
class Group:
    """The consumer group of the clickstream: cooperative, sticky; members that fall silent are expelled."""

    clock: SimClock
    partitions: int
    members: list[SimConsumer] = field(default_factory=list)
    owner: dict[int, SimConsumer] = field(default_factory=dict)

    def join(self, member: SimConsumer) -> None:
        """A member begins to poll."""
        if member not in self.members:
            self.members.append(member)

    def leave(self, member: SimConsumer) -> None:
        """A member is gone, politely or expelled: its partitions are free at once."""
        if member in self.members:
            self.members.remove(member)
        self.owner = {number: who for number, who in self.owner.items() if who is not member}

    def expire(self) -> None:
        """Expel who has sent no heartbeat for the session timeout."""
        for member in list(self.members):
            if self.clock.at_s - member.heard_at() >= SESSION_S:
                self.leave(member)

    def wanted(self) -> dict[int, SimConsumer]:
        """Who ought to own what: as now where that is even, else moved."""
        if not self.members:
            return {}
        most = -(-self.partitions // len(self.members))
        share: dict[int, SimConsumer] = {}
        held = {id(member): 0 for member in self.members}
        for number in range(self.partitions):
            who = self.owner.get(number)
            if who is not None and held[id(who)] < most:
                share[number] = who
                held[id(who)] += 1
        for number in range(self.partitions):
            if number not in share:
                who = min(self.members, key=lambda member: held[id(member)])
                share[number] = who
                held[id(who)] += 1
        return share


class SimConsumer:
    """confluent_kafka.Consumer, as far as the loop uses it."""

    def __init__(self, process: Process, log: Log, group: Group) -> None:
        self._process, self._log, self._group = process, log, group
        self.position: dict[int, int] = {}
        self._paused: set[int] = set()
        self._skipping: set[int] = set()
        self._skipped: set[tuple[int, int]] = set()
        self._turn = 0
        self._heard = group.clock.at_s
        self._callbacks: dict[str, Callable[..., None]] = {}
        self._held: set[int] = set()
        self.idle = 0
        """How often in a row there was nothing to consume."""
        self.closed = False

    # ---- what the loop calls

    def subscribe(self, _topics: Sequence[str], **callbacks: Callable[..., None]) -> None:
        self._callbacks = callbacks
        self._group.join(self)

    def consume(self, count: int, timeout: float) -> list[Record]:
        self._process.outside()
        self._serve_group()
        messages = self._fetch(count)
        self.idle = 0 if messages else self.idle + 1
        if not messages:
            self._group.clock.advance(timeout)
        return messages

    def incremental_assign(self, starts: Sequence[TopicPartition]) -> None:
        for start in starts:
            self.position[start.partition] = max(start.offset, 0)

    def seek(self, where: TopicPartition) -> None:
        self._process.outside()
        if where.partition not in self.position:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.position[where.partition] = where.offset

    def pause(self, where: Sequence[TopicPartition]) -> None:
        self._paused |= {one.partition for one in where}

    def resume(self, where: Sequence[TopicPartition]) -> None:
        self._paused -= {one.partition for one in where}

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        """Only reports lag: nothing reads it back."""

    def committed(self, where: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return list(where)

    def get_watermark_offsets(self, where: TopicPartition, cached: bool) -> tuple[int, int]:
        return 0, self._log.ends[where.partition]

    def close(self) -> None:
        self._process.outside()
        if self._held & self._mine():
            self._call("on_revoke", sorted(self._held & self._mine()))
        self._group.leave(self)
        self.closed = True

    # ---- what the history does

    def heard_at(self) -> float:
        """When the group last got a heartbeat: now, while the process lives and is not frozen."""
        if self._process.alive and not self._process.frozen:
            self._heard = self._group.clock.at_s
        return self._heard

    def skip_once(self, partition: int) -> None:
        """Lose what would be fetched next of a partition, once: a hole that is not in the log."""
        self._skipping.add(partition)

    def rewind(self, partition: int, count: int) -> None:
        """Hand out again what was handed out."""
        if partition in self.position:
            self.position[partition] = max(0, self.position[partition] - count)

    # ---- inside

    def _mine(self) -> set[int]:
        return {number for number, who in self._group.owner.items() if who is self}

    def _serve_group(self) -> None:
        group = self._group
        group.expire()
        gone = self._held - self._mine()
        if gone:  # expelled while it did not look
            self._held -= gone
            self._call("on_lost", sorted(gone))
        group.join(self)
        wanted = group.wanted()
        leaving = sorted(number for number in self._held if wanted.get(number) is not self)
        if leaving:
            self._call("on_revoke", leaving)
            for number in leaving:
                if group.owner.get(number) is self:
                    del group.owner[number]
            self._held -= set(leaving)
        if self not in group.members:  # expelled while it gave up partitions: it comes back at the next poll
            return
        coming = sorted(n for n, who in wanted.items() if who is self and n not in group.owner)
        if coming:
            for number in coming:
                group.owner[number] = self
            self._held |= set(coming)
            self._call("on_assign", coming)

    def _call(self, which: str, numbers: Sequence[int]) -> None:
        where = [TopicPartition(self._log.name, number) for number in numbers]
        self._callbacks[which](self, where)
        if which != "on_assign":
            for number in numbers:
                self.position.pop(number, None)

    def _may_skip(self, number: int, at: int) -> bool:
        """Whether a record may be lost on its way: only before others, and never the same one twice."""
        later = self._log.range(number, at + 1, self._log.ends[number])
        return bool(later) and (number, at) not in self._skipped

    def _fetch(self, count: int) -> list[Record]:
        ready = [number for number in sorted(self.position) if number not in self._paused]
        self._turn += 1
        messages: list[Record] = []
        for i in range(len(ready)):
            number = ready[(i + self._turn) % len(ready)]
            at, end = self.position[number], self._log.ends[number]
            if (
                number in self._skipping
                and self._log.range(number, at + 1, end)
                and (number, at) not in self._skipped
            ):
                self._skipping.discard(number)
                self._skipped.add((number, at))
                at += 1
            taken = self._log.range(number, at, min(end, at + _FETCH_AHEAD))[: count - len(messages)]
            messages += taken
            full = len(messages) >= count
            self.position[number] = taken[-1].offset_ + 1 if taken and full else max(at, end)
            if full:
                break
        return messages


class SimProducer:
    """confluent_kafka.Producer: what is queued leaves at a flush, or dies with the process."""

    def __init__(
        self, process: Process, logs: Mapping[str, Log], clock: SimClock, config: Mapping[str, Any]
    ) -> None:
        self._process, self._logs, self._clock = process, logs, clock
        self._delivered, self._error = config["on_delivery"], config["error_cb"]
        self._queue: list[tuple[str, bytes | None, bytes | None]] = []
        process.on_kill.append(self._leave)

    def produce(self, topic: str, value: bytes | None, key: bytes | None = None, **_options: Any) -> None:
        self._queue.append((topic, key, value))

    def poll(self, _timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        if not self._queue:
            return 0
        self._process.outside()
        how, self._process.flush_fails = self._process.flush_fails, None
        if how == "stalled":
            self._clock.advance(timeout)
            return len(self._queue)
        if how is None or how == "stored":
            self._store(len(self._queue))
        queue, self._queue = self._queue, []
        if how == "fatal":
            self._error(_Fatal())
        if how is not None:
            for _ in queue:
                self._delivered(KafkaError(KafkaError._MSG_TIMED_OUT), None)
        return 0

    def _store(self, count: int) -> None:
        for topic, key, value in self._queue[:count]:
            self._logs[topic].append(key, value, self._clock.wall_ms)

    def _leave(self, share: float) -> None:
        self._store(int(len(self._queue) * share))
        self._queue = []


class _Fatal:
    """What librdkafka hands to error_cb when an idempotent producer cannot go on."""

    def fatal(self) -> bool:
        return True

    def str(self) -> str:
        return "out of order sequence number"
