"""What a load needs of each part, by arithmetic on the constants; and where the design ends for it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from typing import Final

import msgspec
from redis.crc import key_slot

from feature_store.log.topics import MOST_REPLICAS
from feature_store.online.keys import Keys
from ops.planner.constants import CONSTANTS
from ops.stack.valkey_cluster import FEWEST_NODES, slot_limits

FEWEST_PARTITIONS: Final = 8
FEWEST_BROKERS: Final = 3
COUNTED_STORES: Final = 200
"""SIMPERSONA_WINDOW_STORES."""
_DAY_S: Final = 86_400
_TOPIC: Final = "clickstream"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be carried, at its peak."""

    buyers: float
    events_per_s: float
    stores: float
    reads_per_s: float
    events_per_request: float
    hottest_per_s: float
    """Events per second of the one busiest buyer: a bot, or a test."""


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """Of events into personas."""

    workers: int
    partitions: int
    most: int
    """Workers beyond which nothing is gained."""
    events_per_s_each: float
    hottest_partition_per_s: float


class Brokers(msgspec.Struct, frozen=True, kw_only=True):
    """Of Kafka."""

    brokers: int
    copies: int
    written_mb_per_s: float
    read_mb_per_s: float
    disk_gb_per_day: float


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """The online store."""

    rows_gb: float
    windows_gb: float
    masters: int
    replicas: int
    largest_master_share: float
    """Of all partitions: slots are even, partitions are not."""
    node_gb: float
    """What the largest master holds, with room for a save."""


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """Of the persona API."""

    pods: int
    processes: int
    reading_cores: float
    collecting_cores: float


class Encoder(msgspec.Struct, frozen=True, kw_only=True):
    """Where vectors become codes."""

    triton: bool
    cores: float


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What was before, and what is kept."""

    archive_gb_per_day: float
    backfill_hours: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a load needs, and what no number of servers gives."""

    load: Load
    kafka: Brokers
    workers: Workers
    store: Store
    api: Api
    encoder: Encoder
    history: History
    limits: list[str]
    """Where the design ends for this load, a sentence each; empty: nowhere."""


def plan(load: Load) -> Plan:
    """Reckon with each part. Pure."""
    workers = _workers(load)
    api = _api(load)
    store = _store(load, workers.partitions)
    kafka = _brokers(load, api)
    return Plan(
        load=load,
        workers=workers,
        kafka=kafka,
        store=store,
        api=api,
        encoder=_encoder(load),
        history=_history(load),
        limits=_limits(load, workers, store, kafka, api),
    )


def value(name: str) -> float:
    """A constant's value."""
    return CONSTANTS[name].value


def _workers(load: Load) -> Workers:
    each = value("worker") * value("busy")
    count = max(2, math.ceil(load.events_per_s / each))  # one may be away
    partitions = max(FEWEST_PARTITIONS, _power_of_two(count * value("growth")))
    return Workers(
        workers=count,
        partitions=partitions,
        most=partitions,
        events_per_s_each=load.events_per_s / count,
        hottest_partition_per_s=load.events_per_s / partitions + load.hottest_per_s,
    )


def _power_of_two(least: float) -> int:
    return 1 << math.ceil(math.log2(least))


def _api(load: Load) -> Api:
    reading = load.reads_per_s * value("read_cpu")
    requests = load.events_per_s / load.events_per_request
    collecting = requests * value("request_cpu") + load.events_per_s * value("event_cpu")
    processes = max(2, math.ceil((reading + collecting) / value("busy")))
    pods = max(2, math.ceil(processes / 2))
    return Api(pods=pods, processes=pods * 2, reading_cores=reading, collecting_cores=collecting)


def _brokers(load: Load, api: Api) -> Brokers:
    events = load.events_per_s * value("event_bytes") / 1e6
    assignments = load.events_per_s * value("assignments") * value("assignment_bytes") / 1e6
    written = (events + assignments) * MOST_REPLICAS
    # Workers and the archive read each event; every process of the API, and a webhook, each assignment.
    read = 2 * events + (api.processes + 1) * assignments
    count = math.ceil(max(written, read) / value("broker_mb"))
    return Brokers(
        brokers=max(FEWEST_BROKERS, count),
        copies=MOST_REPLICAS,
        written_mb_per_s=written,
        read_mb_per_s=read,
        disk_gb_per_day=written * _DAY_S / 1e3,
    )


def _store(load: Load, partitions: int) -> Store:
    rows = load.buyers * value("live_bytes") / 1e9
    kept = value("window_hours") * 3600 / value("window_s")
    counted = min(load.stores, COUNTED_STORES) + 2  # all together, and the rest together
    windows = partitions * kept * counted * value("window_bytes") / 1e9
    usable = value("node_gb") * value("node_share")
    by_writes = load.events_per_s * value("servers_cpu") / value("busy")
    masters = 1
    while not _carries(masters, rows + windows, usable, by_writes, partitions) and masters < partitions:
        masters = max(FEWEST_NODES, masters + 1)
    share = largest_share(masters, partitions)
    return Store(
        rows_gb=rows,
        windows_gb=windows,
        masters=masters,
        replicas=masters,
        largest_master_share=share,
        node_gb=(rows + windows) * share / value("node_share"),
    )


def _carries(masters: int, gb: float, usable: float, cores: float, partitions: int) -> bool:
    share = largest_share(masters, partitions)
    return gb * share <= usable and cores * share <= 1.0


def largest_share(masters: int, partitions: int) -> float:
    """The share of the partitions that lies on one master of a cluster whose slots are dealt evenly."""
    keys, limits = Keys(_TOPIC), slot_limits(masters)
    owners = Counter(bisect_right(limits, key_slot(keys.of(number))) for number in range(partitions))
    return max(owners.values()) / partitions


def _encoder(load: Load) -> Encoder:
    cores = load.events_per_s * value("encoder_cpu")
    return Encoder(triton=cores >= value("encoder_cores"), cores=cores)


def _history(load: Load) -> History:
    return History(
        archive_gb_per_day=load.events_per_s * _DAY_S * value("archive_bytes") / 1e9,
        backfill_hours=load.buyers * value("history_cpu") / 3600,
    )


def _limits(load: Load, workers: Workers, store: Store, kafka: Brokers, api: Api) -> list[str]:
    return [
        sentence
        for holds, sentence in (
            _one_buyer(load, workers),
            _one_master(store),
            _many_stores(load),
            _many_readers(kafka, api),
        )
        if not holds
    ]


def _one_buyer(load: Load, workers: Workers) -> tuple[bool, str]:
    """A buyer is one key: of one partition, one worker, one slot, one master."""
    each = value("worker") * value("busy")
    return workers.hottest_partition_per_s <= each, (
        f"one buyer with {load.hottest_per_s:,.0f} events/s is one partition, and one worker folds "
        f"{each:,.0f} events/s with room for peaks: no number of workers, partitions or nodes helps. Give "
        "the sender's key a lower rate (simpersona keys create --rate), or leave the bot out"
    )


def _one_master(store: Store) -> tuple[bool, str]:
    return store.node_gb <= value("node_gb"), (
        f"{store.rows_gb:,.0f} GB of rows on {store.masters} masters are {store.node_gb:,.0f} GB of memory "
        "on the largest, and a partition cannot be divided: take larger nodes"
    )


def _many_stores(load: Load) -> tuple[bool, str]:
    return load.stores <= COUNTED_STORES, (
        f"{load.stores:,.0f} stores: windows are counted for {COUNTED_STORES} stores per partition, and for "
        "the rest together; set SIMPERSONA_WINDOW_STORES (the values of --json do)"
    )


def _many_readers(kafka: Brokers, api: Api) -> tuple[bool, str]:
    for_writing = max(FEWEST_BROKERS, math.ceil(kafka.written_mb_per_s / value("broker_mb")))
    return kafka.brokers <= for_writing, (
        f"each of the {api.processes} API processes reads all assignments, which takes {kafka.brokers} "
        f"brokers where {for_writing} would do: let senders put more events into a request, or write to "
        "Kafka themselves"
    )
