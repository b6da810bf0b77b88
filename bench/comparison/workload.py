"""The workload of the comparison: the topics that every peer reads, and the marks by which it is timed.

The last record of every partition is of a buyer met nowhere else. Whoever folds it has a new buyer to
name, so the last of these assignments on the output topic is the finish, whoever runs.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from feature_store.contract.events import SCHEMA_VERSION, Event, encode_event, record_key
from feature_store.contract.partitions import partition_of
from feature_store.fold.behavior import columns
from feature_store.fold.products import ProductTable
from feature_store.fold.table import StateTable
from feature_store.fold.vectors import fold_each
from feature_store.log.producer import Output
from feature_store.log.topics import create_topics
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from ops.replay.events import AsFastAsPossible, Pace, first_events, replay_events
from ops.traffic import TrafficConfig, generate

PARTITIONS: Final = 8
_TRAFFIC: Final = TrafficConfig(buyers=100_000)
_FLUSH_S: Final = 60.0


@dataclass(frozen=True)
class Workload:
    """A topic filled with so many events.

    finish: the keys of the records that end its partitions. codes: by key, the buyer's code after each of
    their events, as the offline fold and the encoder have it.
    """

    topic: str
    events: int
    finish: frozenset[bytes]
    codes: dict[bytes, list[int]]


def traffic(count: int, seed: int) -> Iterator[list[Event]]:
    """The first `count` events of a generated day; a smaller count is a prefix of a larger one's."""
    return first_events(generate(_TRAFFIC, seed), count)


def make_topic(kafka: Mapping[str, Any], name: str, **config: str) -> str:
    """Create a topic with PARTITIONS partitions; config: topic settings with _ for dots."""
    settings = {key.replace("_", "."): value for key, value in config.items()}
    create_topics(kafka, {name: (PARTITIONS, settings)})
    return name


def fill(kafka: Mapping[str, Any], topic: str, count: int, seed: int) -> Workload:
    """Make a topic and fill it with `count` generated events and the finish."""
    make_topic(kafka, topic)
    run(kafka, topic, count, seed, AsFastAsPossible())
    return Workload(topic, count, mark(kafka, topic, f"finish-{topic}"), _codes(count, seed))


def _codes(count: int, seed: int) -> dict[bytes, list[int]]:
    encoder = OnnxEncoder(load_bundle(starter_bundle_path()))
    table, products = StateTable[bytes](), ProductTable()
    codes: dict[bytes, list[int]] = {}
    for events in traffic(count, seed):
        keys = [record_key(event.store, event.buyer) for event in events]
        slots = np.array([table.slots[k] if k in table.slots else table.add(k) for k in keys], np.int64)
        steps = fold_each(table.states, slots, columns(events, products), products)
        found = encoder.encode(steps.vectors).code.tolist()
        for place, code in zip(steps.places.tolist(), found, strict=True):
            codes.setdefault(keys[place], []).append(code)
    return codes


def run(kafka: Mapping[str, Any], topic: str, count: int, seed: int, pace: Pace) -> None:
    """Send `count` generated events to a topic at a pace."""
    replay_events(traffic(count, seed), Output(kafka, _FLUSH_S), topic, pace, stop=threading.Event())


def mark(kafka: Mapping[str, Any], topic: str, name: str) -> frozenset[bytes]:
    """Send an event of a new buyer to every partition; returns the keys. `name` is not used twice."""
    output, keys = Output(kafka, _FLUSH_S), dict[int, bytes]()
    for number in itertools.count():
        event = Event(
            schema_version=SCHEMA_VERSION,
            event_id=f"{name}-{number}",
            store="comparison",
            buyer=f"{name}-{number}",
            type="page_view",
            timestamp=_TRAFFIC.start_ms,
        )
        key = record_key(event.store, event.buyer)
        partition = partition_of(key, PARTITIONS)
        if partition not in keys:
            keys[partition] = key
            output.send(topic, key, encode_event(event))
        if len(keys) == PARTITIONS:
            break
    output.flush()
    return frozenset(keys.values())
