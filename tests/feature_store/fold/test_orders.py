"""An order is counted once and whole: reloads, lines, refunds, in any order of arrival."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import Event
from feature_store.fold.memory import MAX_ENTRIES
from feature_store.history.offline_fold import fold_history
from tests.feature_store.fold.test_behavior import counters
from tests.strategies import MINUTE, START, event


def purchase(number: int, **fields: Any) -> Event:
    """An event with an id of its own."""
    return event(**{"event_id": f"e{number}", "type": "purchase", "timestamp": START + number} | fields)


def folded(*events: Event) -> tuple[int, int]:
    """(purchases, order_value in minor units)."""
    state = counters(fold_history([list(events)]))
    return state["purchase"], state["order_value"]


def test_a_page_that_is_opened_again_after_years_is_no_second_order() -> None:
    first = purchase(0, order="o1", value=30.0)
    views = [event(event_id=f"v{n}", timestamp=START + n * MINUTE) for n in range(10_000)]
    again = purchase(1, order="o1", value=30.0, timestamp=START + 20_000 * MINUTE)
    assert folded(first, *views, again) == (1, 3000)


def test_an_order_is_one_among_the_last_1024_of_a_buyer() -> None:
    orders = [purchase(n, order=f"o{n}", value=1.0) for n in range(MAX_ENTRIES + 1)]
    assert folded(*orders, purchase(9_001, order="o1", value=1.0)) == (
        MAX_ENTRIES + 1,
        100 * MAX_ENTRIES + 100,
    )
    assert folded(*orders, purchase(9_001, order="o0", value=1.0))[0] == MAX_ENTRIES + 2


LINES = [
    purchase(1, order="o1", product_id="a", price=20.0),
    purchase(2, order="o1", product_id="b", price=35.0),
    purchase(3, order="o1", product_id="c", price=2.5, quantity=2),
    purchase(4, order="o1", line="4", product_id="c", value=10.0),
]


@given(st.permutations(LINES), st.lists(st.integers(0, 3), max_size=6))
def test_rows_of_an_order_are_one_purchase_with_the_sum_in_any_order(
    lines: list[Event], again: list[int]
) -> None:
    """Also where some come again under other event ids, as of a page that was opened again."""
    repeats = [purchase(100 + n, **_told(lines[which])) for n, which in enumerate(again)]
    assert folded(*lines, *repeats) == (1, 7000)
    assert folded(lines[0], *repeats, *lines) == (1, 7000)


@given(st.permutations([*LINES, purchase(9, order="o1", value=66.0)]))
def test_the_whole_order_takes_the_place_of_its_lines(events: list[Event]) -> None:
    assert folded(*events) == (1, 6600)


def test_an_order_without_a_total_may_get_one_later() -> None:
    bare, total = purchase(1, order="o1"), purchase(2, order="o1", value=30.0)
    assert folded(bare, purchase(3, order="o1")) == (1, 0)
    assert folded(bare, total, purchase(3, order="o1")) == (1, 3000)
    assert folded(total, bare) == (1, 3000)


REFUNDED = [
    purchase(1, order="o1", value=80.0),
    purchase(2, order="o2", value=50.0),
    purchase(3, type="refund", order="o1", value=30.0),
    purchase(4, type="refund", order="o1", value=70.0),
    purchase(5, type="refund", order="o2", value=20.0),
    purchase(6, type="refund", order="o2", value=20.0, event_id="e5"),
    purchase(7, value=1.0),
]


@given(st.permutations(REFUNDED))
def test_refunds_take_off_what_their_order_added_and_no_more(events: list[Event]) -> None:
    assert folded(*events) == (3, 3100)


@given(st.permutations([*LINES, purchase(9, type="refund", order="o1", value=15.0)]))
def test_a_refund_of_an_order_in_lines_counts_whenever_it_comes(events: list[Event]) -> None:
    assert folded(*events) == (1, 5500)


def test_a_refund_without_an_amount_is_of_the_whole_order() -> None:
    cancelled = purchase(2, type="refund", order="o1")
    assert folded(purchase(1, order="o1", value=80.0), cancelled) == (1, 0)
    assert folded(cancelled, purchase(1, order="o1", value=80.0)) == (1, 0)


def test_a_refund_is_no_visit() -> None:
    bought = purchase(1, order="o1", value=80.0)
    refund = purchase(2, type="refund", order="o1", timestamp=START + 90 * 24 * 60 * MINUTE)
    before, after = counters(fold_history([[bought]])), counters(fold_history([[bought, refund]]))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"events", "refunds", "order_value", "block_time"}


def test_orders_of_two_buyers_with_one_number_are_two() -> None:
    history = fold_history(
        [[purchase(1, order="1", value=1.0), purchase(2, order="1", value=1.0, buyer="b2")]]
    )
    assert [counters(history, buyer)["purchase"] for buyer in ("b1", "b2")] == [1, 1]


@pytest.mark.parametrize("amount", [1e15, 9e14])
def test_sums_of_the_largest_amounts_do_not_overflow(amount: float) -> None:
    big = [purchase(n, value=amount, currency="KWD") for n in range(20)]
    big += [event(event_id=f"v{n}", price=amount, currency="KWD") for n in range(20)]
    state = counters(fold_history([big]))
    assert 2**60 < state["order_value"] <= 2**61
    assert 2**60 < state["price_sum"] <= 2**61


def _told(line: Event) -> dict[str, Any]:
    names = ("order", "line", "product_id", "price", "quantity", "value")
    return {name: getattr(line, name) for name in names}
