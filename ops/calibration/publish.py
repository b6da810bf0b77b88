"""Publishing a calibration: a record in each partition of the clickstream, a copy on the control topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from feature_store.contract.calibration import Calibration, encode_calibration
from feature_store.errors import ProducerError
from feature_store.log.clients import make_producer, producer_config

log = structlog.get_logger()


class CalibrationWriter:
    """Writes calibrations; what `publish` returns from is stored by Kafka."""

    def __init__(
        self, config: Mapping[str, Any], topic: str, control_topic: str, partitions: int, timeout_s: float
    ) -> None:
        """`topic` is that of the events, with so many partitions."""
        self._topic, self._control_topic, self._partitions = topic, control_topic, partitions
        self._producer, self._timeout_s = make_producer(producer_config(config, {})), timeout_s
        self._failed: KafkaError | None = None

    def publish(self, calibrations: Sequence[Calibration]) -> None:
        """Write calibrations. Where this raises, some partitions may have them: ask again for all.

        Raises:
            ProducerError: Kafka did not acknowledge everything.
        """
        for one in calibrations:
            for number in range(self._partitions):
                self._produce(self._topic, None, one.headers(), partition=number)
        self._flush()
        for one in calibrations:
            self._produce(self._control_topic, encode_calibration(one), [])
            log.info(
                "calibration_published", store=one.store, calibration=one.calibration_id, holds=one.holds
            )
        self._flush()

    def _produce(
        self, topic: str, value: bytes | None, headers: list[tuple[str, bytes]], **where: int
    ) -> None:
        try:
            self._producer.produce(topic, value, headers=headers, on_delivery=self._reported, **where)
        except (BufferError, KafkaException) as error:
            raise ProducerError(f"Kafka refuses a calibration for {topic}: {error}") from error

    def _reported(self, error: KafkaError | None, _message: Message) -> None:
        self._failed = error or self._failed

    def _flush(self) -> None:
        waiting = self._producer.flush(self._timeout_s)
        failed, self._failed = self._failed, None
        if failed is not None or waiting:
            why = failed or f"{waiting} are not acknowledged after {self._timeout_s:g} s"
            raise ProducerError(f"Kafka did not take a calibration: {why}")
