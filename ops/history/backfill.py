"""History into the online store, before a first start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from feature_store.contract.events import Event, record_key
from feature_store.contract.partitions import partition_of
from feature_store.errors import OnlineStoreError
from feature_store.fold.behavior import ALLOWED_LATENESS_MS, COUNTER
from feature_store.history.archive import base_batches, write_bases
from feature_store.history.offline_fold import fold_history
from feature_store.online.encoding import Progress, RowHeader, pack_row
from feature_store.online.fence import Checkpoint
from feature_store.online.rows import OnlineRows

_NOTHING_SAID = RowHeader(since_offset=-1, last_offset=-1, code=-1, type=-1, band=0, version=0)


def backfill(
    batches: Iterable[Sequence[Event]],
    rows: OnlineRows,
    archive: Path,
    partition_count: int,
    allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
) -> dict[int, int]:
    """Fold history and write it as each partition's state at offset 0; returns buyers by partition.

    The history is kept beside the archive, as what came before the topic: without it no later
    `simpersona verify`, replay or retraining would know these buyers. In memory are the states of one
    partition's buyers, never the events.

    Raises:
        OnlineStoreError: a worker has folded events of the topic already: history would come after them.
    """
    rows.claim_partition_count(partition_count)
    started = [p for p, at in rows.progress_of(list(range(partition_count))).items() if at is not None]
    if started:
        raise OnlineStoreError(
            f"partitions {started} hold folded events already; backfill goes before the first start: "
            "use an empty store"
        )
    write_bases(
        archive,
        rows.topic,
        batches,
        lambda event: partition_of(record_key(event.store, event.buyer), partition_count),
        partition_count,
    )
    written = {}
    for number in range(partition_count):
        history = fold_history(
            base_batches(archive, rows.topic, number), allowed_lateness_ms=allowed_lateness_ms
        )
        states = {
            record_key(*buyer): pack_row(_NOTHING_SAID, state) for buyer, state in history.states().items()
        }
        last = history.table.states.counters[:, COUNTER["last_time"]]
        progress = Progress(next_offset=0, watermark=int(last.max(initial=0)))
        rows.checkpoint(number, Checkpoint(progress, rows=states), expected=None)
        written[number] = len(states)
    return written
