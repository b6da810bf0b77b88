"""The one Kafka reader of an API process: assignments from now on, erasures and commands from the start."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

log = structlog.get_logger(__name__)

_POLL_S: Final = 0.25
_BATCH: Final = 1_000
_METADATA_S: Final = 5.0
_RETRY_S: Final = 1.0

Handler = Callable[[list[Message]], None]


def consumer_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a reader outside of any group: it commits nothing."""
    return {
        **config,
        "group.id": "simpersona-api",  # required by the client; never joined
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,
    }


class LogTail:
    """Reads in a thread and hands messages over in the event loop's, a batch at a time.

    A batch is handed over only when the one before was taken, so that a busy loop slows the reader down
    and memory stays bounded.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        live: str,
        whole: Sequence[str],
        began: Callable[[list[int]], None],
        handle: Mapping[str, Handler],
    ) -> None:
        """live: topic read from its present end, which `began` is told (a partition's next offset each);
        whole: topics read from the beginning; handle: who takes a topic's messages."""
        self._config, self._live, self._whole = config, live, whole
        self._began, self._handle = began, handle
        self.caught_up = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ending = threading.Event()
        self._unread: set[tuple[str, int]] = set()
        self._thread = threading.Thread(target=self._run, name="log-tail", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """End the thread."""
        self._ending.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        consumer = Consumer(consumer_config(self._config))
        try:
            while not self._ending.is_set() and not self._begin(consumer):
                self._ending.wait(_RETRY_S)
            while not self._ending.is_set():
                self._read(consumer)
        finally:
            consumer.close()

    def _begin(self, consumer: Consumer) -> bool:
        try:
            live = self._partitions(consumer, self._live)
            ends = [consumer.get_watermark_offsets(place, _METADATA_S)[1] for place in live]
            whole = [place for topic in self._whole for place in self._partitions(consumer, topic)]
        except (KafkaException, LookupError) as error:
            log.warning("kafka_away", error=str(error))
            return False
        self._unread = {(place.topic, place.partition) for place in whole}
        consumer.assign(
            [TopicPartition(self._live, number, end) for number, end in enumerate(ends)]
            + [TopicPartition(place.topic, place.partition, OFFSET_BEGINNING) for place in whole]
        )
        self._on_loop(lambda: self._began(ends))
        return True

    def _partitions(self, consumer: Consumer, topic: str) -> list[TopicPartition]:
        found = consumer.list_topics(topic, _METADATA_S).topics[topic]
        if found.error is not None or not found.partitions:
            raise LookupError(f"there is no topic {topic}")
        return [TopicPartition(topic, number) for number in sorted(found.partitions)]

    def _read(self, consumer: Consumer) -> None:
        first = consumer.poll(_POLL_S)
        if first is None:
            return
        by_topic: dict[str, list[Message]] = {}
        for message in [first, *consumer.consume(_BATCH, 0)]:
            error = message.error()
            if error is None:
                by_topic.setdefault(message.topic(), []).append(message)
            elif error.name() == "_PARTITION_EOF":
                self._unread.discard((message.topic(), message.partition()))
            else:  # the client reads on by itself; what it says is why nothing comes
                log.warning("kafka_read", error=error.str())
        self._on_loop(lambda: self._hand_over(by_topic))

    def _hand_over(self, by_topic: dict[str, list[Message]]) -> None:
        for topic, messages in by_topic.items():
            self._handle[topic](messages)
        if not self._unread:
            self.caught_up.set()

    def _on_loop(self, call: Callable[[], None]) -> None:
        """Run in the event loop's thread and wait until it ran, or until this reader ends."""
        taken = threading.Event()

        def run() -> None:
            try:
                call()
            finally:
                taken.set()

        self._loop.call_soon_threadsafe(run)
        while not taken.wait(_POLL_S) and not self._ending.is_set():
            pass
