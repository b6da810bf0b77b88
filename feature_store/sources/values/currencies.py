"""Currencies of amounts."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from feature_store.sources.values.ids import is_placeholder, is_unknown, placeholder_reason
from feature_store.sources.values.notes import Reason

_CODE: Final = re.compile(r"[A-Z]{3}")
_SIGNS: Final = {
    "€": "EUR",
    "£": "GBP",
    "₹": "INR",
    "₩": "KRW",
    "₽": "RUB",
    "₺": "TRY",
    "₫": "VND",
    "₴": "UAH",
}
"""Signs of one currency alone; "$", "¥" and "kr" are of several."""


class CurrencyFound(NamedTuple):
    """A code, or why there is none. reason with a code: what was repaired; neither: nothing was sent."""

    code: str | None
    reason: Reason | None = None


def read_currency(value: Any) -> CurrencyFound:
    """An ISO 4217 code; lower case and blanks around it are mended, words are not understood."""
    if isinstance(value, str):
        if _CODE.fullmatch(value):
            return CurrencyFound(value)
        text = value.strip()
        if is_placeholder(text):
            return CurrencyFound(None, placeholder_reason(text))
        if text in _SIGNS:
            return CurrencyFound(_SIGNS[text], Reason.CURRENCY_SIGN)
        if text.isascii() and _CODE.fullmatch(text.upper()):
            return CurrencyFound(text.upper(), Reason.LETTER_CASE)
    elif is_unknown(value):
        return CurrencyFound(None)
    elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        found = read_currency(value[0])
        return found if found.code is None else CurrencyFound(found.code, Reason.LIST)
    return CurrencyFound(None, Reason.NOT_A_CURRENCY)
