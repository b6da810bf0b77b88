"""Bytewax: a keyed, stateful fold, the model on whole batches between two stateful steps, a Kafka sink.

State lives in Python objects and is snapshotted to Bytewax's recovery store (SQLite).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from bench.comparison.programs.buyer import (
    CHECKPOINT_S,
    PRODUCER,
    Assigned,
    BuyerEncoder,
    BuyerFold,
    Persona,
    surroundings,
)
from feature_store.contract.events import Event, decode_event

BATCH = 1_000  # the source's own default

Folded = tuple[Event, int, int, bytes]
"""An event, its partition and offset, and its buyer's state after it."""
Tagged = tuple[Event, int, int, Persona]

fold, encoder = BuyerFold(), BuyerEncoder()


def keyed(record: KafkaSourceMessage) -> tuple[str, tuple[Event, int, int]]:
    """A decoded event under its buyer's key."""
    return record.key.decode(), (decode_event(record.value), record.partition, record.offset)


def fold_event(state: bytes | None, item: tuple[Event, int, int]) -> tuple[bytes, Folded]:
    """The buyer's new state, kept and handed on."""
    after = fold(state, item[0])
    return after, (*item, after)


def encode(batch: list[tuple[str, Folded]]) -> list[tuple[str, Tagged]]:
    """One call of the model for all that waits at this step."""
    personas = encoder([folded[3] for _, folded in batch])
    return [
        (key, (event, partition, offset, persona))
        for (key, (event, partition, offset, _)), persona in zip(batch, personas, strict=True)
    ]


def assign(before: Assigned | None, item: Tagged) -> tuple[Assigned, bytes | None]:
    """The assignment, if anything changed."""
    event, partition, offset, persona = item
    return persona.assigned, encoder.message(event, persona, before, partition, offset)


def to_sink(item: tuple[str, bytes | None]) -> KafkaSinkMessage | None:
    """A record for the output topic, or nothing."""
    key, message = item
    return None if message is None else KafkaSinkMessage(key.encode(), message)


def main() -> None:
    """Run until SIGTERM."""
    comparison = surroundings()
    flow = Dataflow("comparison")
    servers = [comparison.bootstrap_servers]
    records = op.input("events", flow, KafkaSource(servers, [comparison.input], batch_size=BATCH))
    folded = op.stateful_map("fold", op.map("decode", records, keyed), fold_event)
    assigned = op.stateful_map("assign", op.flat_map_batch("encode", folded, encode), assign)
    messages = op.filter_map("changed", assigned, to_sink)
    kop.output("assignments", messages, brokers=servers, topic=comparison.output, add_config=PRODUCER)
    recovery = Path(comparison.folder) / "recovery"
    recovery.mkdir()
    init_db_dir(recovery, 1)
    cli_main(
        flow,
        epoch_interval=timedelta(seconds=CHECKPOINT_S),
        recovery_config=RecoveryConfig(str(recovery)),
    )


if __name__ == "__main__":
    main()
