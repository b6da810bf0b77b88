"""Units of times: which one a count since the epoch fits, and whether a source's times are of another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from feature_store.errors import EventSourceError

TimeUnit = Literal["iso8601", "s", "ms", "us", "ns"]
CountUnit = Literal["s", "ms", "us", "ns"]
TICKS_PER_SECOND: Final[dict[CountUnit, int]] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_FIRST_SHOPS_S: Final = 631_152_000  # 1990-01-01
_AHEAD_S: Final = 366 * 86_400
_SAMPLE: Final = 5_000


def fitting_unit(count: float) -> CountUnit | None:
    """The unit in which a count since the epoch lies between 1990 and a year from now; None: there is none.

    At most one fits, since a unit is a thousand times the next and these years are not.
    """
    latest = time.time() + _AHEAD_S
    for unit, ticks in TICKS_PER_SECOND.items():
        if _FIRST_SHOPS_S * ticks <= count <= latest * ticks:
            return unit
    return None


def other_unit(time_ms: float, unit: TimeUnit) -> CountUnit | None:
    """The unit that a count fits which was read as `unit` and gave `time_ms`; None: `unit`, or none."""
    if unit == "iso8601":
        return None
    found = fitting_unit(time_ms * TICKS_PER_SECOND[unit] / 1000)
    return None if found == unit else found


def check_unit(path: Path, times_ms: Sequence[int], unit: TimeUnit) -> None:
    """Refuse the first times of a file if they were read in a unit that is not theirs.

    Raises:
        EventSourceError: their median fits another unit; it is named.
    """
    if not times_ms:
        return
    median = statistics.median_low(times_ms[:_SAMPLE])
    found = other_unit(median, unit)
    if found is not None:
        raise EventSourceError(
            f"{path}: the times are not in {unit}: they would be {year_of(median)}, and fit {found}; write "
            f'them in {unit}, or say time_unit = "{found}" in a mapping file'
        )


def year_of(time_ms: float) -> str:
    """Around when a time is, in words, also beyond the calendar."""
    year = 1970 + time_ms / 1000 / 31_556_952
    return f"in {year:.0f}" if year < 10_000 else f"about {year:,.0f}"
