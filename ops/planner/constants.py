"""What the planner reckons with: each figure was measured by a command here, or is assumed and marked so.

tests/ops/planner/test_constants.py holds the measured ones to the files of bench/results.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Constant(NamedTuple):
    """A figure, its unit, and where it comes from."""

    value: float
    unit: str
    source: str
    """The command that measured it, with its date; "assumed: ..." where nothing did."""


_RACE: Final = "make bench, 2026-11-23"
_API: Final = "make bench-api, 2026-11-27"
_ENCODE: Final = "make bench-encode, 2026-11-24"
_SIZES: Final = "make bench-sizes, 2026-11-28"

CONSTANTS: Final[dict[str, Constant]] = {
    "worker": Constant(71_187, "events/s of one worker on one core", _RACE),
    "servers_cpu": Constant(2.825e-6, "s of CPU per event of Kafka and the store together", _RACE),
    "assignments": Constant(0.3662, "assignments per event", _RACE),
    "read_cpu": Constant(0.3591e-3, "s of CPU per persona read, beside a worker", _API),
    "encoder_cpu": Constant(6.379e-6, "s of CPU per encoded state", _ENCODE),
    "live_bytes": Constant(1904, "bytes of the store per buyer with a persona", _SIZES),
    "window_bytes": Constant(710, "bytes of the store per window, partition and store", _SIZES),
    "event_bytes": Constant(125.8, "bytes of Kafka per event and copy", _SIZES),
    "assignment_bytes": Constant(148, "bytes of Kafka per assignment and copy", _SIZES),
    "archive_bytes": Constant(22.62, "bytes of the archive per event", _SIZES),
    "request_cpu": Constant(0.003791, "s of CPU per request to the collector", _SIZES),
    "event_cpu": Constant(9.88e-05, "s of CPU per event in it", _SIZES),
    "history_cpu": Constant(6.575e-5, "s of CPU per buyer of a history, read and folded", _ENCODE),
    "busy": Constant(0.6, "of what a process can do, for peaks and failures", "assumed: room for peaks"),
    "broker_mb": Constant(60, "MB/s that a broker writes or sends", "assumed: a common disk and network"),
    "node_gb": Constant(32, "GB of memory of a store's node", "assumed: a common size"),
    "node_share": Constant(
        0.5, "of a node's memory for rows", "assumed: a save copies changed pages, and memory fragments"
    ),
    "growth": Constant(4, "times the workers of today, in partitions", "assumed: their number is for good"),
    "encoder_cores": Constant(
        16, "cores of encoding from which a GPU server is worth it", "assumed: a GPU server replaces so many"
    ),
    "window_hours": Constant(24, "hours that counts of windows are kept", "SIMPERSONA_WINDOW_HOURS"),
    "window_s": Constant(300, "s of a window of counts", "SIMPERSONA_WINDOW_SECONDS"),
}
