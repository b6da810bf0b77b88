"""What single values look like: times and their units, amounts, ids, addresses."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from feature_store.errors import SkippedItemError
from feature_store.sources.values.context import Context
from feature_store.sources.values.notes import Reason
from feature_store.sources.values.times import TimeFound, read_time
from feature_store.sources.values.units import TimeUnit

_FIRST_S: Final = 631_152_000  # 1990
_LAST_S: Final = 2_524_608_000  # 2050
_TICKS: Final[dict[TimeUnit, int]] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DIGITS: Final = re.compile(r"[0-9]{4}")
_UTC: Final = Context(zone=UTC)
_AMOUNT: Final = re.compile(r"\D{0,4}\d[\d.,\s']*\D{0,5}")
_COMMA: Final = re.compile(r"\D*\d[\d.]*,\d{1,2}\D*")
_POINT: Final = re.compile(r"\D*\d[\d,]*\.\d{1,2}\D*")


class Clock(NamedTuple):
    """How times are written: the unit, and whether any of them lacks a zone."""

    unit: TimeUnit
    zoneless: bool


def unit_of(value: Any) -> TimeUnit | None:
    """The unit in which a value is a time between 1990 and 2050; None: it is no time."""
    if isinstance(value, datetime):
        return "iso8601"
    if isinstance(value, str):
        if not value.strip().replace(".", "", 1).isdecimal():
            return None if _written(value) is None else "iso8601"
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return next(
        (unit for unit, ticks in _TICKS.items() if _FIRST_S * ticks <= value <= _LAST_S * ticks), None
    )


def clock_of(values: Sequence[Any]) -> Clock:
    """How most of these times are written."""
    units = [unit for value in values if (unit := unit_of(value)) is not None]
    zoneless = any(
        isinstance(value, str) and (found := _written(value)) is not None and found.assumed is Reason.ZONE
        for value in values
    ) or any(isinstance(value, datetime) and value.tzinfo is None for value in values)
    return Clock(statistics.mode(units) if units else "iso8601", zoneless)


def _written(value: str) -> TimeFound | None:
    """A time as the reader of events reads it from text, UTC where it names no zone; None: it is none."""
    if not _DIGITS.search(value):
        return None
    try:
        return read_time("time", value, "iso8601", _UTC)
    except SkippedItemError:
        return None


def is_time(value: Any) -> bool:
    """Whether a value is a time of some unit."""
    return unit_of(value) is not None


def is_id(value: Any) -> bool:
    """Whether a value may be an id: text without a line's length, or a whole number."""
    if isinstance(value, str):
        return len(value) <= 200 and not value.startswith(("{", "["))
    return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()


def is_amount(value: Any) -> bool:
    """Whether a value may be an amount, however it is written."""
    if isinstance(value, str):
        return _AMOUNT.fullmatch(value.strip()) is not None
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def is_quantity(value: Any) -> bool:
    """Whether a value may be how many."""
    return is_amount(value) and not isinstance(value, datetime | date)


def is_currency(value: Any) -> bool:
    """Whether a value may be a currency."""
    return isinstance(value, str) and value.strip().isalpha() and len(value.strip()) == 3


def is_text(value: Any) -> bool:
    """Whether a value may be a text of a category or a brand, or a list of such."""
    return isinstance(value, str | int | list) and not isinstance(value, bool)


def is_user_agent(value: Any) -> bool:
    """Whether a value is a browser's name for itself."""
    return isinstance(value, str) and ("Mozilla/" in value or "/" in value) and " " in value


def is_address(value: Any) -> bool:
    """Whether a value is a path or a URL."""
    return isinstance(value, str) and value.startswith(("/", "http://", "https://"))


def decimal_sign(values: Iterable[Any]) -> Literal[".", ","] | None:
    """The decimal sign of amounts in text, where they all have the same."""
    texts = [value for value in values if isinstance(value, str)]
    commas = sum(_COMMA.fullmatch(text) is not None for text in texts)
    points = sum(_POINT.fullmatch(text) is not None for text in texts)
    if commas and not points:
        return ","
    return "." if points and not commas else None
