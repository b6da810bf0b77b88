"""The sorted set `open`: everybody whose session has not ended, at the time of their last event."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from feature_store.fold.behavior import SESSION_GAP_MS
from feature_store.online.mending import Fix
from ops.verify.expected.assigned import Assigned
from ops.verify.expected.fold import PartitionFold
from ops.verify.findings import Findings

_OPEN = b"open"


def compare_sessions(
    fold: PartitionFold,
    assigned: Assigned,
    watermark: int,
    entries: Iterable[tuple[bytes, float]],
    found: Findings,
) -> None:
    """Compare all (key, last event time); watermark: of the partition, ms.

    A session has ended when the watermark is past its last event by the gap. Its end is announced once per
    checkpoint for so many sessions: an ended one may stay while its end is not assigned yet.
    """
    times, ended_before = fold.last_times, watermark - SESSION_GAP_MS
    seen = np.zeros(len(times), dtype=np.bool_)
    for key, time in entries:
        slot = fold.table.slots.get(key)
        if slot is None or fold.last[slot] < 0:
            found.note("sessions", "open.nobody", "", Fix(_OPEN, key, time, None))
            continue
        seen[slot] = True
        last, place = int(times[slot]), f"offset {fold.last[slot]}"
        if last < ended_before and _is_announced(assigned, key, int(fold.last[slot])):
            found.note("sessions", "open.ended", place, Fix(_OPEN, key, time, None))
        elif time != last:
            found.note("sessions", "open.time", place, Fix(_OPEN, key, time, last))
        elif last < ended_before:
            found.report.sessions_waiting += 1
        else:
            found.report.open_sessions += 1
    for key, slot in fold.table.slots.items():
        if seen[slot] or fold.last[slot] < 0:
            continue
        place = f"offset {fold.last[slot]}"
        if times[slot] >= ended_before:
            found.note("sessions", "open.row", place, Fix(_OPEN, key, None, int(times[slot])))
        elif not assigned.is_cut and not _is_announced(assigned, key, int(fold.last[slot])):
            # Put back among the open ones, the next checkpoint announces its end.
            found.note("unsaid", "assignment.session_end", place, Fix(_OPEN, key, None, int(times[slot])))


def _is_announced(assigned: Assigned, key: bytes, offset: int) -> bool:
    return assigned.ended.get(key, -1) >= offset
