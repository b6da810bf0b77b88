"""An archive of generated traffic, as the archiver leaves it."""

from __future__ import annotations

from pathlib import Path

from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.history.archive import ArchivedEvent, write_archive_file
from ops.traffic import TrafficConfig, generate

PARTITIONS = 2


def write_archive(home: Path, buyers: int, seed: int) -> None:
    """Write the traffic of so many buyers of two stores into home/archive."""
    by_partition: dict[int, list[ArchivedEvent]] = {number: [] for number in range(PARTITIONS)}
    for batch in generate(TrafficConfig(buyers=buyers, stores=2), seed):
        for event in batch:
            number = partition_of(record_key(event.store, event.buyer), PARTITIONS)
            part = by_partition[number]
            part.append(ArchivedEvent(event, number, len(part), event.timestamp))
    for number, events in by_partition.items():
        write_archive_file(home / "archive", "clickstream", number, 0, len(events), events)
