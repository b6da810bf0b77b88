"""Times as shops write them -> ms since the epoch, UTC."""

from __future__ import annotations

import email.utils
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from feature_store.sources.skips import bad_time, invalid
from feature_store.sources.values.context import Context
from feature_store.sources.values.ids import is_placeholder
from feature_store.sources.values.notes import Reason
from feature_store.sources.values.units import TICKS_PER_SECOND, CountUnit, TimeUnit, fitting_unit

MAX_TIME_MS: Final = 253_402_300_799_999
"""The contract's limit: the end of the year 9999."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_COUNT: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]*)?(?:[eE]\+?[0-9]{1,2})?")
_UTC_NAME: Final = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_SPACED_OFFSET: Final = re.compile(r"\s+(?=[+-][0-9]{2}:?[0-9]{2}$)")
_SLASHES: Final = re.compile(r"^([0-9]{4})/([0-9]{2})/(?=[0-9]{2})")
_DAY_FIRST: Final = re.compile(
    r"(?P<day>[0-9]{1,2})\.(?P<month>[0-9]{1,2})\.(?P<year>[0-9]{4})"
    r"(?:(?:T|,?\s+)(?P<time>[0-9]{1,2}:[0-9]{2}.*))?"
)
"""As German, Polish, Russian and other calendars write it: with dots, the day always stands first."""
_JAVA_ZONE: Final = re.compile(r"(?<=[Z0-9])\[[A-Za-z0-9_/+-]{1,40}\]$")
_MOST_CHARS: Final = 100
_JAVASCRIPT: Final = re.compile(
    r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<rest>\d{2} \d{4} \d{2}:\d{2}:\d{2}) (?:GMT|UTC)"
    r"(?P<offset>[+-]\d{4})(?: \(.*\))?"
)
_RFC_2822: Final = re.compile(r"(?:[A-Za-z]{3},\s*)?\d{1,2} [A-Za-z]{3} \d{4} .*", re.ASCII)


class TimeFound(NamedTuple):
    """ms since the epoch; what was assumed of the time (None: nothing), and as what it was taken."""

    ms: int
    assumed: Reason | None = None
    taken_as: str = ""


def read_time(name: str, value: Any, unit: TimeUnit, context: Context) -> TimeFound:
    """Event time from a count of `unit` since the epoch, or from text: ISO 8601, RFC 2822 and their kin.

    Of unit iso8601, a count is taken in the one unit in which it lies between 1990 and a year from now.
    name: the field or column, for errors.

    Raises:
        SkippedItemError: bad_timestamp; invalid: it is out of the calendar.
    """
    if is_missing_time(value):
        raise bad_time(f"{name} is missing: the time of the event")
    try:
        value = _unwrapped(value)
        if isinstance(value, datetime):
            return _moment(name, value, context)
        if unit == "iso8601":
            return _text_or_count(name, value, context)
        ms = _count_ms(_count(value), unit)
    except (TypeError, ValueError, ArithmeticError, LookupError):
        words = "ISO 8601 with a zone" if unit == "iso8601" else f"a number of {unit} since the epoch"
        raise bad_time(f"{name} is not {words}") from None
    return TimeFound(_checked(name, ms, unit))


def _unwrapped(value: Any) -> Any:
    """The time inside what databases write around it: {"$date": ...} (MongoDB), {"value": ...} (BigQuery)."""
    if isinstance(value, dict) and len(value) == 1:
        return value.get("$date", value.get("value"))
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value


def is_missing_time(value: Any) -> bool:
    """Whether nothing was sent, or a word for it."""
    return value is None or (isinstance(value, str) and is_placeholder(value))


def _text_or_count(name: str, value: Any, context: Context) -> TimeFound:
    if not isinstance(value, str) or _COUNT.fullmatch(value.strip()):
        count = _count(value)
        fitting = fitting_unit(float(count))
        if fitting is not None:
            return TimeFound(_count_ms(count, fitting), Reason.UNIT, fitting)
        if not isinstance(value, str):
            raise bad_time(
                f"{name} is a number that is no time since the epoch, in any unit, of 1990 or later"
            )
    return _moment(name, _parsed(value.strip()), context)


def _parsed(text: str) -> datetime:
    """A moment from text.

    Raises:
        ValueError, TypeError: it is of no known notation.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _parsed_otherwise(text)


def _parsed_otherwise(text: str) -> datetime:
    if len(text) > _MOST_CHARS:
        raise ValueError
    if (found := _JAVASCRIPT.fullmatch(text)) is not None:
        return datetime.strptime(
            "{month} {rest} {offset}".format(**found.groupdict()), "%b %d %Y %H:%M:%S %z"
        )
    if _RFC_2822.fullmatch(text):
        moment = email.utils.parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment  # -0000: UTC, RFC 2822
    text = _year_first(_JAVA_ZONE.sub("", text))
    plain = _UTC_NAME.sub("", text)
    moment = datetime.fromisoformat(_SLASHES.sub(r"\1-\2-", _SPACED_OFFSET.sub("", plain)))
    return moment.replace(tzinfo=UTC) if plain != text and moment.tzinfo is None else moment


def _year_first(text: str) -> str:
    found = _DAY_FIRST.fullmatch(text)
    if found is None:
        return text
    day, month, year, time = found.groups()
    hours, colon, rest = (time or "0:00").removesuffix("Uhr").strip().partition(":")
    return f"{year}-{month:0>2}-{day:0>2} {hours:0>2}{colon}{rest}"


def _moment(name: str, moment: datetime, context: Context) -> TimeFound:
    assumed, taken_as = None, ""
    if moment.tzinfo is None:
        if context.zone is None:
            raise bad_time(
                f"{name} has no zone: say which one with --timezone, or `timezone` in a mapping file"
            )
        moment, assumed, taken_as = moment.replace(tzinfo=context.zone), Reason.ZONE, str(context.zone)
    return TimeFound(_checked(name, (moment - _EPOCH) // _MILLISECOND, "iso8601"), assumed, taken_as)


def _count(value: Any) -> int | float | Decimal:
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.lstrip("-").isdecimal() and len(text) <= 20 else Decimal(text)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError
    return value


def _count_ms(count: float | Decimal, unit: CountUnit) -> int:
    if isinstance(count, int):
        return count * 1000 // TICKS_PER_SECOND[unit]
    return round(count * 1000 / TICKS_PER_SECOND[unit])


def _checked(name: str, ms: int, unit: TimeUnit) -> int:
    if 0 < ms <= MAX_TIME_MS:
        return ms
    hint = ""
    count = 0 if unit == "iso8601" else ms * TICKS_PER_SECOND[unit] // 1000
    if (fitting := fitting_unit(count)) is not None:
        hint = f": read as {unit}, it fits {fitting}"
    raise invalid(f"{name} is not between 1970 and 9999{hint}")
