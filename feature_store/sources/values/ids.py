"""Ids, and the many ways to send none."""

from __future__ import annotations

import math
import re
from typing import Any, Final, NamedTuple

from feature_store.sources.values.notes import Reason

MAX_ID: Final = 256
"""Characters of an id of the contract."""
NOTHING: Final = frozenset({"", "null", "none", "(none)", "(not set)", "n/a", "-"})
"""Words by which senders say on purpose that they know nothing. There is no note of them."""
PLACEHOLDERS: Final = NOTHING | frozenset(
    {
        "(null)",
        "<null>",
        "undefined",
        "nil",
        "nan",
        "#n/a",
        "[object object]",
        "00000000-0000-0000-0000-000000000000",
    }
)
"""What broken pixels send for "unknown"; taken as an id, it would merge thousands of buyers into one."""
_LONGEST_PLACEHOLDER: Final = max(map(len, PLACEHOLDERS))
_FIRST_OF_IDS: Final = frozenset("123456789abcdefghijklmopqrstvwxyzABCDEFGHIJKLMOPQRSTVWXYZ")
"""No placeholder begins so. Events of the contract are asked one by one, and this is ten times as fast."""
_TEMPLATE: Final = re.compile(r"\{\{[^{}]*\}\}|\$\{[^{}]*\}|%%[^%]*%%|<%[^%]*%>")
"""A tag's template that nobody filled in."""
_WHOLE_FLOAT: Final = re.compile(r"[1-9][0-9]{0,15}\.0")
_EXACT_FLOAT: Final = 2.0**53


class IdFound(NamedTuple):
    """An id, or why there is none. reason with an id: what was repaired; neither: nothing was sent."""

    id: str | None
    reason: Reason | None = None


NO_ID: Final = IdFound(None)


def is_placeholder(text: str) -> bool:
    """Whether a text stands for "unknown"."""
    if text[:1] in _FIRST_OF_IDS:
        return False
    stripped = text.strip()
    if len(stripped) <= _LONGEST_PLACEHOLDER and stripped.lower() in PLACEHOLDERS:
        return True
    return stripped[:1] in ("{", "$", "%", "<") and _TEMPLATE.fullmatch(stripped) is not None


def placeholder_reason(text: str) -> Reason | None:
    """The reason to note for a placeholder; None if it says "unknown" on purpose."""
    return None if text.strip().lower() in NOTHING else Reason.PLACEHOLDER


def read_id(value: Any) -> IdFound:
    """An id exactly as sent, so that the shop can find it again; a whole number as its digits.

    What a data frame made of a whole number, 1005115.0, is the number again; a list of one id is the id.
    """
    if isinstance(value, str):
        if is_placeholder(value):
            return IdFound(None, placeholder_reason(value))
        if not value.isascii() and not is_unicode(value):
            return IdFound(None, Reason.NOT_UNICODE)
        if _WHOLE_FLOAT.fullmatch(value):
            return IdFound(value[:-2], Reason.WHOLE_FLOAT)
        return IdFound(value)
    if is_unknown(value):
        return NO_ID
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 512:
        return IdFound(str(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return IdFound(str(int(value)), Reason.WHOLE_FLOAT)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], int | str):
        found = read_id(value[0])
        return found if found.id is None else IdFound(found.id, Reason.LIST)
    return IdFound(None, Reason.NOT_AN_ID)


def is_unknown(value: Any) -> bool:
    """Whether a value is None or NaN, which is how data frames write it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
