"""How old or new an event that is sent may be: the collector takes what happens, history goes other ways."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from feature_store.contract.events import Event, check_clock
from feature_store.errors import InvalidEventError
from feature_store.sources.values.units import TimeUnit, other_unit

DAY_MS: Final = 86_400_000
YEAR_MS: Final = 365 * DAY_MS


def check_time(event: Event, received_ms: int, max_age_ms: int, unit: TimeUnit) -> None:
    """Refuse an event of the future, or older than `max_age_ms`; unit: which its time was read in.

    Raises:
        InvalidEventError: future_timestamp or old_timestamp; the detail names the unit that the time fits.
    """
    check_clock(event, received_ms)
    age = received_ms - event.timestamp
    if age <= max_age_ms:
        return
    fitting = other_unit(event.timestamp, unit)
    if fitting is not None:
        detail = (
            f"timestamp was read in {unit} and lies in {_year(event)}; it fits {fitting}: send it in {unit}"
        )
    else:
        detail = (
            f"timestamp lies {age // DAY_MS:,} days back, in {_year(event)}, and here at most "
            f"{max_age_ms // DAY_MS:,} days are taken: history goes through `events replay` or `backfill`"
        )
    raise InvalidEventError("old_timestamp", detail)


def _year(event: Event) -> int:
    return datetime.fromtimestamp(event.timestamp / 1000, UTC).year
