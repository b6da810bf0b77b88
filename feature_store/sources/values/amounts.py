"""Amounts as shops write them: "1,299.00", "19,99", "$ 79.95", {"amount": 5, "currency": "EUR"}.

The shape of a number says which sign is the decimal one. Where it leaves two readings ("1.299"), the
source's decimal sign decides, or a currency without decimals; else there is no amount.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from feature_store.contract.events import MAX_MONEY
from feature_store.fold.products import currency_exponent
from feature_store.sources.values.context import DecimalSign
from feature_store.sources.values.ids import is_placeholder, placeholder_reason
from feature_store.sources.values.notes import Reason


class AmountFound(NamedTuple):
    """An amount, or why there is none. reason with an amount: what was repaired; neither: nothing was sent.

    currency: the code that stood beside the amount.
    """

    amount: float | None
    reason: Reason | None = None
    currency: str | None = None


NO_AMOUNT: Final = AmountFound(None)
_NOT_A_NUMBER: Final = AmountFound(None, Reason.NOT_A_NUMBER)
_PLAIN: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TWO_READINGS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")
_SPACES: Final = " \u00a0\u2007\u2009\u202f"
_BODY: Final = re.compile(rf"(?:(?<![^\W\d_])[.,٫])?[0-9](?:[0-9.,'’٫٬{_SPACES}]*[0-9])?")
_SIGNS: Final = ("-", "−", "+")  # also the minus sign of typesetters
_WORDS: Final = frozenset(
    "kr kr. zł zl kč kc ft lei лв лв. грн руб руб. р. rs rs. rm rp tl s/ s/. r din din. fr fr. sfr "  # noqa: SIM905
    "usd eur gbp chf sek nok dkk pln czk huf ron bgn inr jpy cny krw try brl mxn cad aud nzd zar aed sar irr "
    "euro euros dollar dollars".split()
)
_NO_CENTS: Final = (".-", ",-", ",--", ".--", ",–", ".–")
"""Behind a number: "19,-"."""
_CODE: Final = re.compile(r"[A-Z]{3}")
_AMOUNT_KEYS: Final = ("amount", "value")
_CURRENCY_KEYS: Final = ("currency", "currency_code", "currencyCode")
_MONEY_KEYS: Final = ("shop_money", "shopMoney")


def read_amount(value: Any, decimal: DecimalSign | None, currency: str | None) -> AmountFound:
    """A finite amount, negative ones too; currency: the one that is known, for its number of decimals."""
    if isinstance(value, bool):
        return _NOT_A_NUMBER
    if isinstance(value, int | float | Decimal):
        return _counted(value)
    if isinstance(value, str):
        return _written(value, decimal, currency)
    if value is None:
        return NO_AMOUNT
    if isinstance(value, Mapping):
        return _money(value, decimal)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], int | float | str):
        found = read_amount(value[0], decimal, currency)
        return found if found.amount is None else found._replace(reason=Reason.LIST)
    return _NOT_A_NUMBER


def _counted(value: float | Decimal) -> AmountFound:
    try:
        amount = float(value)
    except OverflowError:
        return AmountFound(None, Reason.TOO_LARGE)
    if math.isnan(amount):
        return NO_AMOUNT
    return AmountFound(amount) if abs(amount) <= MAX_MONEY else AmountFound(None, Reason.TOO_LARGE)


def _money(value: Mapping[Any, Any], decimal: DecimalSign | None) -> AmountFound:
    for key in _MONEY_KEYS:
        if isinstance(inner := value.get(key), Mapping):
            return _money(inner, decimal) if not any(k in inner for k in _MONEY_KEYS) else _NOT_A_NUMBER
    code = next((one for key in _CURRENCY_KEYS if isinstance(one := value.get(key), str)), None)
    code = None if code is None else code.strip().upper()
    for key in _AMOUNT_KEYS:
        inner = value.get(key)
        if inner is not None and not isinstance(inner, Mapping):
            found = read_amount(inner, decimal, code)
            known = code if code is not None and _CODE.fullmatch(code) else found.currency
            return found if found.amount is None else AmountFound(found.amount, Reason.OBJECT, known)
    return NO_AMOUNT if not value else _NOT_A_NUMBER


def _written(value: str, decimal: DecimalSign | None, currency: str | None) -> AmountFound:
    text = value.strip()
    if is_placeholder(text):
        return AmountFound(None, placeholder_reason(text))
    if len(text) > 64:
        return _NOT_A_NUMBER
    if _PLAIN.fullmatch(text) and not _TWO_READINGS.fullmatch(text):
        return _counted(float(text))
    return _local(text, decimal, currency)


def _local(text: str, decimal: DecimalSign | None, currency: str | None) -> AmountFound:
    """A number with the signs of a country and a currency."""
    reason: Reason | None = None
    if not text.isascii():
        plain = "".join(_ascii_digit(letter) for letter in text)
        reason = Reason.DIGITS if plain != text else None
        text = plain
    accounting = text.startswith("(") and text.endswith(")")  # bookkeepers write -5 as (5)
    body = _BODY.search(text.strip("()") if accounting else text)
    if body is None:
        return _NOT_A_NUMBER
    before, after = body.string[: body.start()].strip(), body.string[body.end() :].strip()
    negative = accounting
    for sign in _SIGNS:
        if before.startswith(sign) or before.endswith(sign):
            before, negative = before.strip(sign).strip(), sign != "+"
    if after in _NO_CENTS:
        decimal = "." if after[0] == "." else ","
        after, reason = "", Reason.DECIMAL_SIGN
    before, after = "".join(before.split()), "".join(after.split())
    codes = {beside for beside in (before, after) if _CODE.fullmatch(beside)}
    if not (_is_currency(before) and _is_currency(after)) or len(codes) > 1:
        return _NOT_A_NUMBER
    code = codes.pop() if codes else None
    number, how = _number(body.group(), decimal, currency if code is None else code)
    if number is None:
        return AmountFound(None, how)
    found = _counted(float(number))
    if found.amount is None:
        return found
    repaired = how or (Reason.CURRENCY_SIGN if before or after else reason)
    return AmountFound(-found.amount if negative else found.amount, repaired, code)


def _number(body: str, decimal: DecimalSign | None, currency: str | None) -> tuple[str | None, Reason | None]:
    """Digits with signs among them -> (digits with a point, what was repaired), or (None, what is wrong)."""
    signs = [letter for letter in body if not "0" <= letter <= "9"]
    if not signs:
        return body, None
    last, kinds = signs[-1], {" " if sign in _SPACES else sign for sign in signs}
    if last not in ".,٫" or (len(kinds) == 1 and len(signs) > 1):
        return _grouped(body, kinds)  # no decimals
    whole, _, decimals = body.rpartition(last)
    if len(signs) == 1:
        if last != "٫" and len(decimals) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0":
            if decimal is None and (currency is None or currency_exponent(currency) != 0):
                return None, Reason.AMBIGUOUS
            if decimal != last:
                return whole + decimals, Reason.THOUSANDS_SEPARATOR
        return f"{whole or 0}.{decimals}", None if last == "." else Reason.DECIMAL_SIGN
    if last in whole:
        return None, Reason.NOT_A_NUMBER
    digits, problem = _grouped(whole, kinds - {last})
    return (None, problem) if digits is None else (f"{digits}.{decimals}", problem)


def _grouped(body: str, kinds: set[str]) -> tuple[str | None, Reason | None]:
    """Whole digits in groups of three, or as in India (1,00,000), by one kind of sign."""
    if len(kinds) != 1:
        return None, Reason.NOT_A_NUMBER
    first, *groups = re.split(rf"[.,'’٫٬{_SPACES}]", body)
    sizes = [len(group) for group in groups]
    threes = 1 <= len(first) <= 3 and set(sizes) == {3}
    india = 1 <= len(first) <= 2 and sizes[-1:] == [3] and set(sizes[:-1]) == {2}
    if not (threes or (india and kinds == {","})):
        return None, Reason.NOT_A_NUMBER
    return first + "".join(groups), Reason.THOUSANDS_SEPARATOR


def _is_currency(beside: str) -> bool:
    if not beside:
        return True
    if len(beside) > 8 or not all(unicodedata.category(c) in ("Sc", "Lu", "Ll", "Lo", "Po") for c in beside):
        return False
    if any(unicodedata.category(letter) == "Sc" for letter in beside):
        return len(beside) <= 4
    return bool(_CODE.fullmatch(beside)) or beside.lower() in _WORDS


def _ascii_digit(letter: str) -> str:
    found = unicodedata.decimal(letter, None)
    return letter if found is None else str(found)
