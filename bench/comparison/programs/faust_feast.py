"""Stock Faust and stock Feast: an agent on the topic, a table for the state, push to Feast's Redis store.

RACE_TAKE is how many events the agent takes at once: 1 is the plain agent; above, stream.take_events
hands over what came within a moment, the model sees it in one call and Feast gets it as one frame.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import faust
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.types import Float64, Int64, String

from bench.comparison.programs.buyer import CHECKPOINT_S, BuyerEncoder, BuyerFold, pack, surroundings, unpack
from feature_store.contract.events import Event, decode_event

PARTITIONS: Final = 8
TAKE: Final = int(os.environ.get("RACE_TAKE", "1"))
WITHIN_S: Final = 0.02  # our worker's own wait for a micro-batch
FEATURES: Final = {
    "code": Int64,
    "token": String,
    "distance": Float64,
    "margin": Float64,
    "events": Int64,
    "assigned_at": Int64,
}
"""The columns of our own persona view that the starter bundle fills."""


comparison = surroundings()


def feature_store() -> FeatureStore:
    """Feast over its own Redis online store, with one view fed by a push source."""
    store = FeatureStore(
        config=RepoConfig(
            project="comparison",
            provider="local",
            registry=f"{comparison.folder}/registry.db",
            online_store={"type": "redis", "connection_string": urlsplit(comparison.store_url).netloc},
            entity_key_serialization_version=3,
        )
    )
    buyer = Entity(name="buyer", value_type=ValueType.STRING)
    source = PushSource(
        name="personas",
        batch_source=FileSource(
            name="history", path=f"{comparison.folder}/history.parquet", timestamp_field="at"
        ),
    )
    fields = [Field(name=name, dtype=dtype) for name, dtype in FEATURES.items()]
    store.apply([buyer, FeatureView(name="persona", entities=[buyer], schema=fields, source=source)])
    return store


app = faust.App(
    comparison.group,
    broker=f"kafka://{comparison.bootstrap_servers}",
    store="memory://",
    key_serializer="raw",
    value_serializer="raw",
    web_enabled=False,
    topic_disable_leader=True,
    topic_partitions=PARTITIONS,
    broker_commit_interval=CHECKPOINT_S,
    producer_compression_type="lz4",
    consumer_auto_offset_reset="earliest",
    datadir=f"{comparison.folder}/faust",
)
events = app.topic(comparison.input)
output = app.topic(comparison.output)
# take_events hides from the table which partition an event came from: the partitioner knows it too.
buyers = app.Table("buyers", key_type=bytes, value_type=bytes, use_partitioner=True)
store, fold, encoder = feature_store(), BuyerFold(), BuyerEncoder()


async def tag(records: Sequence[Any]) -> None:
    """Fold records one by one, encode them together, send what changed, push the personas to Feast."""
    decoded: list[Event] = []
    folded: list[bytes] = []
    newest: dict[bytes, bytes | None] = {}  # a buyer may be in a batch twice
    for record in records:
        event = decode_event(record.value)
        if record.key not in newest:
            newest[record.key] = unpack(buyers.get(record.key))[0]
        newest[record.key] = after = fold(newest[record.key], event)
        decoded.append(event)
        folded.append(after)
    rows, now = [], datetime.now(UTC)
    for record, event, after, persona in zip(records, decoded, folded, encoder(folded), strict=True):
        before = unpack(buyers.get(record.key))[1]
        buyers[record.key] = pack(after, persona.assigned)
        where = record.message
        message = encoder.message(event, persona, before, where.partition, where.offset)
        if message is not None:
            await output.send(key=record.key, value=message)
        rows.append((record.key.decode(), *encoder.features(persona), now))
    store.push("personas", pd.DataFrame(rows, columns=["buyer", *FEATURES, "at"]))


@app.agent(events)  # type: ignore[untyped-decorator]  # faust has no types
async def tagger(stream: Any) -> None:
    """The agent."""
    if TAKE == 1:
        async for record in stream.events():
            await tag([record])
    else:
        async for records in stream.take_events(TAKE, within=WITHIN_S):
            await tag(records)


if __name__ == "__main__":
    app.main()
