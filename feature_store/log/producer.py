"""What a worker sends: one idempotent producer, and the promise that a flush means acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from feature_store.errors import FatalProducerError, ProducerError
from feature_store.log.clients import make_producer, producer_config


class Output:
    """Sends keyed messages; `flush` returns only when Kafka has acknowledged all of them."""

    def __init__(
        self,
        config: Mapping[str, Any],
        flush_timeout_s: float,
        make: Callable[[dict[str, Any]], Producer] = make_producer,
    ) -> None:
        """`make` makes the client out of its settings."""
        special = {
            # Only failures call back: a call per message would cost more than the message.
            "delivery.report.only.error": True,
            "on_delivery": self._delivered,
            "error_cb": self._error,
        }
        self._producer = make(producer_config(config, special))
        self._flush_timeout_s = flush_timeout_s
        self._failed: KafkaError | None = None
        self._fatal: KafkaError | None = None

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Queue a message; waits while the queue is full (back-pressure).

        Raises:
            ProducerError: Kafka does not drain the queue, or refuses the message outright.
            FatalProducerError: this producer is dead; only a new process goes on.
        """
        self._check_alive()
        try:
            self._producer.produce(topic, value, key)
        except BufferError:
            self._producer.poll(self._flush_timeout_s)
            try:
                self._producer.produce(topic, value, key)
            except BufferError:
                raise ProducerError("the producer's queue stays full: Kafka takes no messages") from None
        except KafkaException as error:
            raise ProducerError(f"Kafka refuses a message for {topic}: {error}") from error

    def poll(self) -> None:
        """Serve delivery reports."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything sent is acknowledged.

        Raises:
            ProducerError: a message failed, or the time ran out with messages still waiting.
        """
        waiting = self._producer.flush(self._flush_timeout_s)
        self._check_alive()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise ProducerError(f"Kafka did not take a message: {failed}")
        if waiting:
            raise ProducerError(f"{waiting} messages are not acknowledged after {self._flush_timeout_s:g} s")

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed = error

    def _error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error

    def _check_alive(self) -> None:
        if self._fatal is not None:
            raise FatalProducerError(f"the producer cannot go on: {self._fatal.str()}; restart the worker")
