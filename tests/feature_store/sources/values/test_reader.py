"""What the readers make of ids, texts, currencies and lines, and what they note."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import SkippedItemError
from feature_store.sources.values.context import Context
from feature_store.sources.values.ids import PLACEHOLDERS, is_placeholder
from feature_store.sources.values.notes import Note, Reason, redacted
from feature_store.sources.values.reader import Reader


def noted(read: Reader) -> list[tuple[str, str, str]]:
    return [(note.kind, note.field, note.reason.value) for note in read.notes]


@pytest.mark.parametrize(
    "value", [None, "", "  ", "null", "NULL", "(not set)", "undefined", "NaN", "{{ customer.id }}"]
)
def test_the_many_ways_to_send_no_id(value: Any) -> None:
    assert Reader().identifier("product_id", value) is None
    with pytest.raises(SkippedItemError, match="no_buyer_id: there is no buyer id in client_id"):
        Reader().buyer({"client_id": value})


@pytest.mark.parametrize(
    ("value", "expected"), [(17, "17"), (" a ", " a "), ("ID|1", "ID|1"), (0, "0"), ("1.50", "1.50")]
)
def test_an_id_stays_as_it_was_sent(value: Any, expected: str) -> None:
    read = Reader()
    assert read.identifier("product_id", value) == expected == read.buyer({"id": value})
    assert read.notes == []


@pytest.mark.parametrize("value", [1005115.0, "1005115.0"])
def test_what_a_data_frame_made_of_a_whole_number_is_one_again(value: Any) -> None:
    read = Reader()
    assert read.identifier("product_id", value) == "1005115"
    assert noted(read) == [("repaired", "product_id", "whole_float")]


def test_a_list_of_one_is_what_is_in_it() -> None:
    read = Reader()
    assert read.identifier("product_id", ["p"]) == "p"
    assert read.currency(["EUR"]) == "EUR"
    assert [note.reason for note in read.notes] == [Reason.LIST, Reason.LIST]
    assert read.identifier("product_id", ["p", "q"]) is None


@pytest.mark.parametrize("value", [1.5, True, [], {}, b"a", "\udc00", 2.0**60])
def test_no_id(value: Any) -> None:
    read = Reader()
    assert read.identifier("product_id", value) is None
    assert [note.kind for note in read.notes] == ["emptied"]
    with pytest.raises(SkippedItemError, match="invalid: client_id, the id of the buyer"):
        read.buyer({"client_id": value, "user_id": None})
    assert read.buyer({"client_id": value, "user_id": "u"}) == "u"


def test_the_first_candidate_that_can_be_read_is_taken_and_the_others_are_not_noted() -> None:
    read = Reader()
    assert read.identifier("product_id", "undefined", None, "SKU-77") == "SKU-77"
    assert read.text("brand", [], "(not set)", "Acme") == "Acme"
    assert read.currency("euro", "EUR") == "EUR"
    assert read.notes == []
    assert read.currency("euro", 5) is None
    assert read.notes == [Note("emptied", "currency", Reason.NOT_A_CURRENCY, "aaaa")]


def test_long_texts_are_cut_between_characters_and_long_ids_are_left_out() -> None:
    read = Reader()
    assert read.text("brand", "🧵" * 300) == "🧵" * 256
    assert read.text("query", "x" * 2_000) == "x" * 512
    assert read.identifier("event_id", "x" * 257) is None
    assert noted(read) == [
        ("repaired", "brand", "cut"),
        ("repaired", "query", "cut"),
        ("emptied", "event_id", "too_long"),
    ]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("home/kitchen", "home/kitchen"),
        ("Men > Shoes > Running", "Men/Shoes/Running"),
        ("Men &gt; Shoes", "Men/Shoes"),
        (["Men", "Shoes"], "Men/Shoes"),
        ([{"id": 3, "name": "Men"}, {"id": 4, "name": "Shoes"}], "Men/Shoes"),
        ({"name": "Shoes"}, "Shoes"),
        (501, "501"),
        (9.5, "9.5"),
        ([], None),
        ([None, ""], None),
        (True, None),
        ("a>b", "a>b"),
    ],
)
def test_categories(value: Any, path: str | None) -> None:
    assert Reader().category(value) == path


def test_a_separator_that_is_told_parts_a_category() -> None:
    read = Reader()
    assert read.category("Men|Shoes | Running", separator="|") == "Men/Shoes/Running"
    assert read.notes == []


@pytest.mark.parametrize(
    ("value", "code"), [("USD", "USD"), ("usd ", "USD"), ("€", "EUR"), ("$", None), ("dollars", None)]
)
def test_currencies(value: Any, code: str | None) -> None:
    assert Reader().currency(value) == code


@pytest.mark.parametrize(
    ("value", "count", "reason"),
    [
        (2, 2, None),
        ("2.0", 2, None),
        (0, None, "zero"),
        (-1, None, "negative"),
        (0.75, 1, "by_weight"),
        (2.4, 2, "by_weight"),
        (10**7, None, "too_large"),
        ("many", None, "not_a_number"),
    ],
)
def test_quantities(value: Any, count: int | None, reason: str | None) -> None:
    read = Reader()
    assert read.quantity(value) == count
    assert [note.reason for note in read.notes] == ([] if reason is None else [reason])


def test_amounts_are_not_negative() -> None:
    read = Reader()
    assert read.amount("price", -1) is None
    assert read.amount("value", 1e15) == 1e15
    assert noted(read) == [("emptied", "price", "negative")]


def line(read: Reader, name: str, price: Any, quantity: Any = None, code: Any = None) -> Any:
    return read.line(
        product_id=name, category=None, brand=None, price=price, currency_code=code, quantity=quantity
    )


def test_a_cart_is_named_by_its_most_valuable_line_and_only_its_notes_are_kept() -> None:
    read = Reader()
    lines = [line(read, "a", "$ 5", 3), line(read, "b", "€ 9"), line(read, "c", "cheap"), line(read, "d", -4)]
    fields = read.cart(lines, value=20, currency_code="USD")
    assert (fields["product_id"], fields["price"], fields["quantity"]) == ("a", 5.0, 3)
    assert (fields["value"], fields["currency"]) == (20.0, "USD")
    assert noted(read) == [("repaired", "price", "currency_sign")]


def test_a_total_that_nobody_sent_is_the_sum_of_the_lines() -> None:
    read = Reader()
    assert read.cart([line(read, "a", 5.1, 3), line(read, "b", 9.2)])["value"] == 24.5
    assert noted(read) == [("assumed", "value", "sum_of_lines")]
    read = Reader()
    assert read.cart([line(read, "a", 5, 3), line(read, "b", None)])["value"] is None
    assert read.cart([line(read, "a", 5, 3)])["value"] is None  # price and quantity say it


def test_a_weight_keeps_its_worth() -> None:
    read = Reader()
    fields = read.cart([line(read, "cheese", 20.0, 0.75)])
    assert (fields["price"], fields["quantity"], fields["value"]) == (20.0, 1, 15.0)


def test_an_event_has_one_currency() -> None:
    read = Reader()
    lines = [line(read, "yen", 9_000, code="JPY"), line(read, "dollar", 20, code="USD")]
    assert read.cart(lines, value=80, currency_code="USD")["product_id"] == "dollar"
    (yen, _) = lines
    fields = read.cart([yen], value=80, currency_code="USD")
    assert (fields["product_id"], fields["price"], fields["currency"]) == ("yen", None, "USD")
    assert noted(read) == [("emptied", "price", "other_currency")]
    assert read.cart(lines)["currency"] == "JPY"
    assert read.cart(lines)["value"] is None


def test_an_amount_is_read_in_its_own_currency() -> None:
    read = Reader()
    assert line(read, "a", "1,299", code="JPY").fields["price"] == 1299.0
    assert line(read, "a", "1.299 JPY").fields["currency"] == "JPY"
    assert line(Reader(Context(decimal=",")), "a", "1,299").fields["price"] == 1.299


def test_what_was_assumed_is_said() -> None:
    read = Reader(Context(zone=UTC))
    read.time("ts", "2025-11-23 10:00:00")
    read.time("ts", 1_763_892_000_000)
    assert [note.form for note in read.notes] == ["9999-99-99 99:99:99 as UTC", "9999999999999 as ms"]


@given(st.text(max_size=50))
def test_a_form_shows_neither_letters_nor_digits(text: str) -> None:
    form = redacted(text)
    assert len(form) <= 32
    assert not any(letter.isalnum() and letter not in "a9" for letter in form)


garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["amount", "name", "x"]), inner)
    ),
    max_leaves=5,
)


@given(garbage)
def test_optional_fields_never_raise(value: Any) -> None:
    read = Reader()
    read.amount("price", value)
    read.quantity(value)
    read.currency(value)
    read.text("brand", value)
    read.category(value)
    read.identifier("product_id", value)
    read.cart([line(read, value, value, value, value)], value=value, currency_code=value)


def test_no_placeholder_begins_as_an_id_does() -> None:
    assert all(is_placeholder(word) and is_placeholder(f" {word.upper()} ") for word in PLACEHOLDERS)
