"""Writing erasures: the request among the buyer's events, then its place on the topic of erasures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from feature_store.contract.erasure import Erasure, ErasureRequest, encode_erasure
from feature_store.errors import ProducerError
from feature_store.log.clients import make_producer, producer_config

_Report = Callable[[KafkaError | None, Message], None]


class ErasureWriter:
    """Writes requests, erasures and their ends; what a method returns from is stored by Kafka.

    Its methods raise ProducerError where Kafka did not acknowledge everything: then ask again for all.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, erasures_topic: str, timeout_s: float) -> None:
        """`topic` is that of the events."""
        self._topic, self._erasures_topic, self._timeout_s = topic, erasures_topic, timeout_s
        self._producer = make_producer(producer_config(config, {}))
        self._failed: KafkaError | None = None

    def ask(self, wanted: Mapping[bytes, ErasureRequest]) -> dict[bytes, Erasure]:
        """Request the erasure of buyers by key (`store|buyer`); returns where each holds.

        Of a request whose place Kafka did not tell, the worker that comes to it writes it down.
        """
        places: dict[bytes, Erasure] = {}

        def placed(error: KafkaError | None, message: Message) -> None:
            self._reported(error, message)
            key, offset = message.key(), message.offset()
            if error is None and key is not None and offset is not None and offset >= 0:
                places[bytes(key)] = wanted[bytes(key)].at(int(message.partition() or 0), offset)

        for key, request in wanted.items():
            self._produce(self._topic, key, None, request.headers(), placed)
        self._flush()
        self.write(places)
        return places

    def write(self, erasures: Mapping[bytes, Erasure]) -> None:
        """Put erasures on their topic."""
        for key, erasure in erasures.items():
            self._produce(self._erasures_topic, key, encode_erasure(erasure), (), self._reported)
        self._flush()

    def trim(self, erasures: Mapping[bytes, Erasure]) -> None:
        """End erasures: compaction forgets them."""
        for key, erasure in erasures.items():
            self._produce(self._erasures_topic, key, None, erasure.trim_headers(), self._reported)
        self._flush()

    def _produce(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        report: _Report,
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, headers=list(headers), on_delivery=report)
            except BufferError:
                self._flush()
            except KafkaException as error:
                raise ProducerError(f"Kafka refuses an erasure for {topic}: {error}") from error
            else:
                return

    def _reported(self, error: KafkaError | None, _message: Message) -> None:
        self._failed = error or self._failed

    def _flush(self) -> None:
        waiting = self._producer.flush(self._timeout_s)
        failed, self._failed = self._failed, None
        if failed is not None or waiting:
            why = failed or f"{waiting} are not acknowledged after {self._timeout_s:g} s"
            raise ProducerError(f"Kafka did not take an erasure: {why}")
