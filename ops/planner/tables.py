"""A plan in words: a part, what it needs, and because of what."""

from __future__ import annotations

from ops.planner.plan import Plan, Store
from ops.planner.quantities import spoken

Row = tuple[str, str, str]
"""(part, needs, because of)."""


def rows(found: Plan) -> list[Row]:
    """What each part needs."""
    return [*_stream(found), *_store(found), *_readers(found), *_history(found)]


def _stream(found: Plan) -> list[Row]:
    workers, kafka = found.workers, found.kafka
    hottest = spoken(workers.hottest_partition_per_s)
    return [
        ("workers", f"{workers.workers} of one core", f"{spoken(workers.events_per_s_each)} events/s each"),
        (
            "partitions",
            f"{workers.partitions}, for good",
            f"so many workers at most; the hottest has {hottest} events/s",
        ),
        (
            "brokers",
            f"{kafka.brokers}, {kafka.copies} copies",
            f"{kafka.written_mb_per_s:,.0f} MB/s written, {kafka.read_mb_per_s:,.0f} MB/s read",
        ),
        ("brokers' disks", f"{kafka.disk_gb_per_day:,.0f} GB per day of retention", "all copies"),
    ]


def _store(found: Plan) -> list[Row]:
    store = found.store
    share = f"{store.largest_master_share:.0%} of the partitions"
    return [
        (
            "store",
            _nodes(store),
            f"{store.node_gb:,.1f} GB of memory on the largest master, which has {share}",
        ),
        (
            "store's rows",
            f"{store.rows_gb:,.1f} GB",
            f"{spoken(found.load.buyers)} buyers; {store.windows_gb:,.2f} GB of windows beside",
        ),
    ]


def _nodes(store: Store) -> str:
    if store.masters == 1:
        return "1 server and a replica, behind Sentinels"
    return f"a cluster of {store.masters} masters and {store.replicas} replicas"


def _readers(found: Plan) -> list[Row]:
    api, load = found.api, found.load
    reading = f"{api.reading_cores:,.1f} cores for {spoken(load.reads_per_s)} reads/s"
    collecting = f"{api.collecting_cores:,.1f} for events, {spoken(load.events_per_request)} per request"
    return [
        ("API", f"{api.pods} pods of 2 processes", f"{reading}, {collecting}"),
        (
            "Triton",
            "on GPUs" if found.encoder.triton else "none: each worker encodes",
            f"{found.encoder.cores:,.1f} cores of encoding at most",
        ),
    ]


def _history(found: Plan) -> list[Row]:
    history = found.history
    return [
        ("archive", f"{history.archive_gb_per_day:,.0f} GB per day", "one process"),
        ("backfill", f"{history.backfill_hours:,.2f} h", "one process, about 10 events per buyer"),
    ]
