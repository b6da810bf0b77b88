"""Notes on values that were not taken as they were sent: by field and reason, with one redacted form each."""

from __future__ import annotations

import enum
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

NoteKind = Literal["repaired", "emptied", "assumed"]
Field = Literal[
    "event_id",
    "session_id",
    "timestamp",
    "product_id",
    "category",
    "brand",
    "price",
    "currency",
    "quantity",
    "value",
    "query",
    "order",
    "line",
]
"""Fields that a note is about: those of the contract that are optional at the doors. A metric label."""

_MAX_FORM: Final = 32


class Reason(enum.StrEnum):
    """What was done to a value, or why it was left out. Bounded: it is a metric label."""

    # repaired
    BREADCRUMB = "breadcrumb"
    BY_WEIGHT = "by_weight"
    CONVERTED = "converted"
    CURRENCY_SIGN = "currency_sign"
    CUT = "cut"
    DECIMAL_SIGN = "decimal_sign"
    DIGITS = "digits"
    LETTER_CASE = "letter_case"
    LIST = "list"
    NUMBER = "number"
    OBJECT = "object"
    THOUSANDS_SEPARATOR = "thousands_separator"
    WHOLE_FLOAT = "whole_float"
    # emptied
    AMBIGUOUS = "ambiguous"
    NEGATIVE = "negative"
    NOT_A_CURRENCY = "not_a_currency"
    NOT_A_NUMBER = "not_a_number"
    NOT_AN_ID = "not_an_id"
    NOT_TEXT = "not_text"
    NOT_UNICODE = "not_unicode"
    OTHER_CURRENCY = "other_currency"
    PLACEHOLDER = "placeholder"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    ZERO = "zero"
    INVALID = "invalid"
    # assumed
    CLOCK = "clock"
    RECEIVED = "received"
    SUM_OF_LINES = "sum_of_lines"
    UNIT = "unit"
    ZONE = "zone"


class Note(NamedTuple):
    """One value that was not taken as sent. form: what it looked like, without its letters and digits."""

    kind: NoteKind
    field: Field
    reason: Reason
    form: str


class Tally(msgspec.Struct):
    """How many notes of one field and reason there were, and the form of the first."""

    count: int
    form: str


Tallies: TypeAlias = dict[str, dict[str, Tally]]
"""Field -> reason -> tally."""


def count_note(into: Tallies, note: Note) -> None:
    """Add a note to the tallies of its kind."""
    reasons = into.setdefault(note.field, {})
    known = reasons.get(note.reason)
    if known is None:
        reasons[note.reason.value] = Tally(1, note.form)
    else:
        known.count += 1


def redacted(value: Any) -> str:
    """What a value looks like: digits as 9, letters as a, the rest as it is; at most 32 characters.

    A list or an object is only named, since its members may say anything.
    """
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return "[list]"
    if isinstance(value, dict):
        return "{object}"
    if isinstance(value, int) and value.bit_length() > 128:  # to write it out takes time and may be refused
        return "9..."
    shown = str(value)
    form = "".join(_redacted_letter(letter) for letter in shown[:_MAX_FORM])
    return form if len(shown) <= _MAX_FORM else form[:-3] + "..."


def _redacted_letter(letter: str) -> str:
    if letter.isnumeric():
        return "9"
    if letter.isalpha() or not letter.isprintable():
        return "a"
    return letter if letter.isascii() or not letter.isalnum() else "a"
