"""What is measured, the same way for every peer: from outside, on the topic that it writes.

The output topic is stamped by the broker (LogAppendTime), the input topic by the producer (CreateTime);
all run on one machine, so the two clocks are one.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import psutil
from confluent_kafka import Message, TopicPartition
from numpy.typing import NDArray

from bench.comparison.workload import PARTITIONS
from feature_store.log.clients import lone_consumer
from feature_store.log.reader import arrived, is_end

_POLL_S: Final = 0.05
_BATCH: Final = 5_000


def tail(kafka: Mapping[str, Any], topic: str) -> Generator[list[Message], None, None]:
    """What is written to a topic, from its beginning and without end; an empty list while nothing comes."""
    consumer = lone_consumer(kafka, "bench-watch", fetch_wait_ms=20)
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    try:
        while True:
            yield [m for m in arrived(consumer, topic, _BATCH, _POLL_S) if not is_end(m)]
    finally:
        consumer.close()


@dataclass
class Meter:
    """CPU seconds and memory of processes with their children."""

    roots: list[psutil.Process]
    peak_rss: int = 0
    _cpu: dict[int, float] = field(default_factory=dict)

    def sample(self) -> float:
        """CPU seconds used so far, ended children included; also looks at the memory (bytes)."""
        rss = 0
        for root in self.roots:
            for process in (root, *root.children(recursive=True)):
                try:
                    times = process.cpu_times()
                    self._cpu[process.pid] = times.user + times.system
                    rss += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
        self.peak_rss = max(self.peak_rss, rss)
        return sum(self._cpu.values())


class Assigned(msgspec.Struct):
    """The part of an assignment that is read: the code, after how many events of the buyer it holds, and the
    record of the last of them."""

    code: int
    events: int
    partition: int
    offset: int
    reason: str


read_assignment = msgspec.json.Decoder(Assigned).decode


def event_to_tag_ms(
    assignments: list[Message], kafka: Mapping[str, Any], topic: str, since_ms: int
) -> NDArray[np.int64]:
    """From each record's CreateTime to its assignment's LogAppendTime, of records created from `since_ms` on.

    Session ends are left out: they are assigned long after the record that they name.
    """
    created = _create_times(kafka, topic)
    waits = []
    for message in assignments:
        place = read_assignment(message.value())
        record = created[place.partition][place.offset]
        if place.reason != "session_end" and record >= since_ms:
            waits.append(message.timestamp()[1] - record)
    return np.array(waits, dtype=np.int64)


def _create_times(kafka: Mapping[str, Any], topic: str) -> list[dict[int, int]]:
    times: list[dict[int, int]] = [{} for _ in range(PARTITIONS)]
    for messages in tail(kafka, topic):
        if not messages and any(times):
            return times
        for message in messages:
            times[message.partition()][message.offset()] = message.timestamp()[1]
    raise AssertionError("unreachable")
