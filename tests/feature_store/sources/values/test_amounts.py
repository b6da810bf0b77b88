"""Amounts as shops write them: read exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.sources.values.amounts import read_amount
from feature_store.sources.values.notes import Reason


@pytest.mark.parametrize(
    ("value", "expected", "reason"),
    [
        ("1299.00", 1299.0, None),
        (0, 0.0, None),
        (" 5 ", 5.0, None),
        (2.5, 2.5, None),
        (Decimal("19.99"), 19.99, None),
        ("-10", -10.0, None),
        ("1e3", 1000.0, None),
        (".99", 0.99, None),
        ("0.299", 0.299, None),
        ("1299.000", 1299.0, None),
        ("1,299.00", 1299.0, Reason.THOUSANDS_SEPARATOR),
        ("1.299,00", 1299.0, Reason.THOUSANDS_SEPARATOR),
        ("1.299,000", 1299.0, Reason.THOUSANDS_SEPARATOR),
        ("1,299,000", 1_299_000.0, Reason.THOUSANDS_SEPARATOR),
        ("1'299.50", 1299.5, Reason.THOUSANDS_SEPARATOR),
        ("1 299", 1299.0, Reason.THOUSANDS_SEPARATOR),
        ("1\u202f299,50 €", 1299.5, Reason.THOUSANDS_SEPARATOR),
        ("1,00,000.00", 100_000.0, Reason.THOUSANDS_SEPARATOR),
        ("19,99", 19.99, Reason.DECIMAL_SIGN),
        ("19,-", 19.0, Reason.DECIMAL_SIGN),
        ("$ 79.95", 79.95, Reason.CURRENCY_SIGN),
        ("US$79.95", 79.95, Reason.CURRENCY_SIGN),
        ("79,95 kr.", 79.95, Reason.DECIMAL_SIGN),
        ("$79.95 USD", 79.95, Reason.CURRENCY_SIGN),
        ("US $5", 5.0, Reason.CURRENCY_SIGN),
        ("1.299,-", 1299.0, Reason.THOUSANDS_SEPARATOR),
        ([19.99], 19.99, Reason.LIST),
        ("kr.500", 500.0, Reason.CURRENCY_SIGN),
        ("Rs. 500", 500.0, Reason.CURRENCY_SIGN),
        ("79.95 EUR", 79.95, Reason.CURRENCY_SIGN),
        ("-$5.00", -5.0, Reason.CURRENCY_SIGN),
        ("(5.00)", -5.0, None),
        ("۱۲۵۰", 1250.0, Reason.DIGITS),
        ({"amount": "19.99", "currency": "EUR"}, 19.99, Reason.OBJECT),
        ({"shop_money": {"amount": "5.00", "currency_code": "USD"}}, 5.0, Reason.OBJECT),
    ],
)
def test_read(value: Any, expected: float, reason: Reason | None) -> None:
    found = read_amount(value, None, None)
    assert (found.amount, found.reason) == (expected, reason)


@pytest.mark.parametrize("value", [None, "", " ", "null", "(not set)", float("nan"), {}])
def test_nothing_was_sent(value: Any) -> None:
    assert read_amount(value, None, None) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("undefined", Reason.PLACEHOLDER),
        ("NaN", Reason.PLACEHOLDER),
        ("1_000", Reason.NOT_A_NUMBER),
        ("1.2.3", Reason.NOT_A_NUMBER),
        ("12 13", Reason.NOT_A_NUMBER),
        ("10%", Reason.NOT_A_NUMBER),
        ("2 for 5", Reason.NOT_A_NUMBER),
        ("EUR 5 USD", Reason.NOT_A_NUMBER),
        ("19.99-29.99", Reason.NOT_A_NUMBER),
        ([1, 2], Reason.NOT_A_NUMBER),
        ("79.95 each", Reason.NOT_A_NUMBER),
        ("inf", Reason.NOT_A_NUMBER),
        ("1e999", Reason.TOO_LARGE),
        (10**400, Reason.TOO_LARGE),
        (1.1e15, Reason.TOO_LARGE),
        (True, Reason.NOT_A_NUMBER),
        ([], Reason.NOT_A_NUMBER),
        ("1.299", Reason.AMBIGUOUS),
        ("1,299", Reason.AMBIGUOUS),
        ("€ 1.299", Reason.AMBIGUOUS),
    ],
)
def test_not_read(value: Any, reason: Reason) -> None:
    found = read_amount(value, None, None)
    assert (found.amount, found.reason) == (None, reason)


@pytest.mark.parametrize(
    ("text", "decimal", "currency", "expected"),
    [
        ("1.299", ".", None, 1.299),
        ("1.299", ",", None, 1299.0),
        ("1,299", ",", None, 1.299),
        ("1,299", ".", None, 1299.0),
        ("1,299", None, "JPY", 1299.0),
        ("1.299 JPY", None, None, 1299.0),
        ("1,299", None, "EUR", None),
        ("19.99", ",", None, 19.99),
    ],
)
def test_two_readings(text: str, decimal: Any, currency: str | None, expected: float | None) -> None:
    assert read_amount(text, decimal, currency).amount == expected


_STYLES = [
    (",", "."),
    (".", ","),
    ("'", "."),
    (" ", ","),
    ("\u00a0", ","),
    ("\u202f", ","),
    ("", "."),
    ("", ","),
]


@given(
    cents=st.integers(0, 10**16),
    style=st.sampled_from(_STYLES),
    affix=st.sampled_from(["{}", "$ {}", "{} €", "CHF {}", "{} kr", "£{}"]),
)
def test_an_amount_in_any_style_reads_back_exactly(cents: int, style: tuple[str, str], affix: str) -> None:
    group, sign = style
    text = affix.format(f"{cents // 100:,}".replace(",", group) + f"{sign}{cents % 100:02}")
    assert read_amount(text, None, None).amount == cents / 100


@given(
    whole=st.integers(0, 10**12),
    style=st.sampled_from(_STYLES),
)
def test_a_whole_amount_reads_back_exactly_where_the_decimal_sign_is_known(
    whole: int, style: tuple[str, str]
) -> None:
    group, sign = style
    assert read_amount(f"{whole:,}".replace(",", group), sign, None).amount == whole  # type: ignore[arg-type]


@given(st.text(), st.sampled_from([None, ".", ","]))
def test_any_text_is_an_amount_or_has_a_reason(text: str, decimal: Any) -> None:
    found = read_amount(text, decimal, None)
    assert found.amount is None or abs(found.amount) <= 1e15


@given(
    st.text(alphabet="0123456789.,' -+$€kr()eE\u00a0", max_size=20),
    st.sampled_from([None, ".", ","]),
)
def test_no_sign_of_a_number_raises(text: str, decimal: Any) -> None:
    read_amount(text, decimal, None)
