"""Events to Kafka, awaited: a request's future is done when its last event is acknowledged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from feature_store.log.clients import make_producer, producer_config
from inference.api.problems import ProblemError, unavailable

log = structlog.get_logger(__name__)

_POLL_S: Final = 0.25
_FLUSH_POLL_S: Final = 0.05
_AT_ONCE: Final = 200


class _Ticket:
    """What one request waits for. Delivery reports count it down in the producer's thread."""

    def __init__(self, events: int) -> None:
        self.place: tuple[int, int] | None = None
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[KafkaError | None] = self._loop.create_future()
        self._left = events
        self._failed: KafkaError | None = None

    def delivered(self, error: KafkaError | None) -> None:
        if error is not None:
            self._failed = error
        self._left -= 1
        if self._left == 0:
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():  # the request may have given up
            self.done.set_result(self._failed)


class AckedProducer:
    """One idempotent producer of this process and the thread that serves its delivery reports."""

    def __init__(
        self, config: Mapping[str, Any], *, queue_events: int, ack_timeout_s: float, stalled_s: float
    ) -> None:
        special = {
            "linger.ms": 2,  # a request waits for it
            "queue.buffering.max.messages": queue_events,
            "message.timeout.ms": int(ack_timeout_s * 1000),
            "error_cb": self._error,
        }
        self._config = producer_config(config, special)
        self._queue_events, self._stalled_s = queue_events, stalled_s
        self._fatal = False
        self._producer = make_producer(self._config)
        self._dead: list[Producer] = []
        self._lock = threading.Lock()
        self._waiting, self._heard = 0, 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="delivery-reports", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Events handed over and not yet acknowledged."""
        return self._waiting

    def stalled(self) -> bool:
        """Whether events wait and Kafka has acknowledged nothing for a while."""
        return self._waiting > 0 and time.monotonic() - self._heard > self._stalled_s

    async def send(
        self,
        topic: str,
        records: Sequence[tuple[bytes | None, bytes | None]],
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> tuple[int, int] | None:
        """Send (key, value) records, all with these headers; wait until Kafka has acknowledged all of them.

        Returns where the last one acknowledged lies (partition, offset), of records with headers, if known.

        Raises:
            ProblemError: 429 if the queue is full, 503 if Kafka is away. Some of the records may be stored:
                the sender sends all of them again, and the fold knows an event by its id.
        """
        if not records:
            return None
        if self.stalled():
            raise unavailable("Kafka acknowledges nothing at present; send the whole request again")
        # Checked for all of them at once: a request is queued whole or not at all.
        if self._waiting + len(records) > self._queue_events:
            raise ProblemError(
                429, "queue-full", "more events wait for Kafka than may; send again", retry_after_s=1
            )
        ticket = _Ticket(len(records))
        producer = self._living_producer()
        with self._lock:
            if self._waiting == 0:
                self._heard = time.monotonic()
            self._waiting += len(records)
        for place, (key, value) in enumerate(records, start=1):
            self._produce(producer, topic, key, value, headers, ticket)
            if place % _AT_ONCE == 0:
                await asyncio.sleep(0)  # others are answered meanwhile
        failed = await ticket.done
        if failed is not None:
            log.warning("events_not_acknowledged", error=failed.str())
            raise unavailable("Kafka did not acknowledge every event; send the whole request again")
        return ticket.place

    def _produce(
        self,
        producer: Producer,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        ticket: _Ticket,
    ) -> None:
        def reported(error: KafkaError | None, message: Message | None) -> None:
            with self._lock:  # a refusal is reported in the event loop's thread
                self._waiting -= 1
                self._heard = time.monotonic() if error is None else self._heard
                if headers and error is None and message is not None:
                    ticket.place = _place_of(message)
                ticket.delivered(error)

        try:
            producer.produce(topic, value, key, headers=list(headers) or None, on_delivery=reported)
        except (BufferError, KafkaException) as error:
            refused = (
                error.args[0] if isinstance(error, KafkaException) else KafkaError(KafkaError._QUEUE_FULL)
            )
            reported(refused, None)

    def _living_producer(self) -> Producer:
        """The producer; another one after a fatal error, which ends a producer but not the process."""
        if self._fatal:
            self._producer.purge()
            self._dead.append(self._producer)
            self._producer, self._fatal = make_producer(self._config), False
        return self._producer

    def _error(self, error: KafkaError) -> None:
        if error.fatal():
            log.error("producer_replaced", error=error.str())
            self._fatal = True

    def _serve(self) -> None:
        while not self._ending.is_set():
            self._producer.poll(_POLL_S)
            for dead in list(self._dead):
                dead.poll(0)  # until it has reported what it will never deliver
                if not len(dead):
                    self._dead.remove(dead)

    async def close(self, timeout_s: float) -> None:
        """Wait until everything handed over is acknowledged or has failed, then end the thread."""
        deadline = time.monotonic() + timeout_s
        while self._waiting and time.monotonic() < deadline:
            await asyncio.sleep(_FLUSH_POLL_S)
        self._ending.set()
        await asyncio.to_thread(self._thread.join)


def _place_of(message: Message) -> tuple[int, int] | None:
    """Partition and offset; None where the broker knew a retried record and did not say its offset."""
    partition, offset = message.partition(), message.offset()
    return None if partition is None or offset is None or offset < 0 else (partition, offset)
