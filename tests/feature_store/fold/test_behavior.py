"""The laws of the fold, and each outcome that its docstring states."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import Event
from feature_store.fold.behavior import COUNTER, REMEMBERED_IDS, SESSION_GAP_MS
from feature_store.fold.products import currency_exponent, product_vector
from feature_store.fold.state import pack_states, unpack_states
from feature_store.fold.table import StateTable
from feature_store.history.offline_fold import History, fold_history
from tests.strategies import MINUTE, START, cuts, event, histories


@dataclass
class Plain:
    """The definition once more, one event at a time in plain Python: what the kernel is held against."""

    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTER, 0))
    seen: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED_IDS))
    sums: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, e: Event) -> None:
        c = self.counters
        if e.event_id in self.seen:
            return
        self.seen.append(e.event_id)
        if c["events"] == 0:
            c["sessions"], c["first_time"], c["last_time"] = 1, e.timestamp, e.timestamp
        elif e.timestamp > c["last_time"]:
            step = e.timestamp - c["last_time"]
            if step > SESSION_GAP_MS:
                c["sessions"] += 1
            else:
                c["active_ms"] += step
                c["steps"] += 1
            c["last_time"] = e.timestamp
        else:
            c["late"] += c["last_time"] - e.timestamp > 30 * MINUTE
            c["first_time"] = min(c["first_time"], e.timestamp)
        c["events"] += 1
        c[e.type] += 1
        self.add_money(e)
        pooled = {"product_view": "viewed", "add_to_cart": "carted", "purchase": "purchased"}.get(e.type)
        if pooled and (e.product_id is not None or e.category or e.brand):
            c[pooled] += 1
            vector = product_vector(e.product_id, e.category, e.brand, self.minor(e, e.price)).astype(
                np.int32
            )
            self.sums[pooled] = self.sums.get(pooled, 0) + vector

    def add_money(self, e: Event) -> None:
        c = self.counters
        if e.type == "product_view" and e.price is not None:
            c["price_sum"] += self.minor(e, e.price)
            c["price_count"] += 1
        if e.type in ("add_to_cart", "purchase"):
            worth = (
                self.minor(e, e.value)
                if e.value is not None
                else self.minor(e, e.price) * (e.quantity or 1)
                if e.price is not None
                else 0
            )
            c["cart_value" if e.type == "add_to_cart" else "order_value"] += worth

    @staticmethod
    def minor(e: Event, amount: float | None) -> int:
        return -1 if amount is None else round(amount * 10.0 ** currency_exponent(e.currency))


def plain_fold(events: list[Event]) -> dict[tuple[str, str], Plain]:
    states: dict[tuple[str, str], Plain] = {}
    for e in events:
        states.setdefault((e.store, e.buyer), Plain()).add(e)
    return states


def counters(history: History, buyer: str = "b1") -> dict[str, int]:
    slot = history.table.slots["acme", buyer]
    return dict(zip(COUNTER, history.table.states.counters[slot].tolist(), strict=True))


@given(histories())
def test_kernel_equals_the_plain_definition(events: list[Event]) -> None:
    history = fold_history([events])
    for (_, buyer), plain in plain_fold(events).items():
        assert counters(history, buyer) == plain.counters
        slot = history.table.slots["acme", buyer]
        for which, name in enumerate(("viewed", "carted", "purchased")):
            expected = plain.sums.get(name, np.zeros(128, dtype=np.int32))
            assert (history.table.states.sums[slot, which] == expected).all()


@given(st.data())
def test_any_split_into_batches_gives_the_same_bytes(data: st.DataObject) -> None:
    events = data.draw(histories())
    assert fold_history(cuts(data.draw, events)).states() == fold_history([events]).states()


@given(st.data())
def test_any_restart_gives_the_same_bytes(data: st.DataObject) -> None:
    events = data.draw(histories())
    whole = fold_history([events]).states()
    history = History()
    for batch in cuts(data.draw, events):
        rows = history.states()
        history = History()  # a new process, that knows only what was stored
        slots = np.array([history.table.add(key) for key in rows], dtype=np.int64)
        unpack_states(history.table.states, slots, list(rows.values()))
        history.add(batch)
    assert history.states() == whole


@given(st.data())
def test_redelivery_inside_the_window_changes_nothing(data: st.DataObject) -> None:
    events = data.draw(histories(ids=10_000))
    delivered: list[Event] = []
    for i, e in enumerate(events):
        delivered.append(e)
        window = [x for x in events[: i + 1] if x.buyer == e.buyer][-REMEMBERED_IDS:]
        delivered += data.draw(st.lists(st.sampled_from(window), max_size=3))
    assert fold_history([delivered]).states() == fold_history([events]).states()


def test_an_id_beyond_the_window_counts_again() -> None:
    ids = [f"e{i}" for i in range(REMEMBERED_IDS + 1)]
    events = [event(event_id=i, timestamp=START + n) for n, i in enumerate([*ids, "e1", "e0"])]
    assert counters(fold_history([events]))["events"] == REMEMBERED_IDS + 2  # e1 was kept, e0 forgotten


@pytest.mark.parametrize(
    ("step", "sessions", "active"),
    [(30 * MINUTE, 1, 30 * MINUTE), (30 * MINUTE + 1, 2, 0), (0, 1, 0), (-10 * MINUTE, 1, 0)],
)
def test_sessions_part_at_a_gap_of_more_than_30_minutes(step: int, sessions: int, active: int) -> None:
    state = counters(fold_history([[event(), event(event_id="e2", timestamp=START + step)]]))
    assert (state["sessions"], state["active_ms"]) == (sessions, active)


@pytest.mark.parametrize(("behind", "late"), [(30 * MINUTE, 0), (30 * MINUTE + 1, 1)])
def test_late_events_count_but_open_no_session(behind: int, late: int) -> None:
    state = counters(fold_history([[event(), event(event_id="e2", timestamp=START - behind)]]))
    assert (state["late"], state["sessions"], state["events"]) == (late, 1, 2)
    assert (state["first_time"], state["last_time"]) == (START - behind, START)


def test_prefix_is_the_buyer_as_they_looked_then() -> None:
    events = [event(event_id=f"e{i}", timestamp=START + i) for i in range(9)]
    assert fold_history([events], prefix=4).states() == fold_history([events[:4]]).states()


def test_table_reuses_rows_empty() -> None:
    table: StateTable[str] = StateTable()
    slot = table.add("a")
    table.states.counters[slot] = 7
    table.remove(["a"])
    again = table.add("b")
    assert again == slot
    empty: StateTable[str] = StateTable()
    assert pack_states(table.states, table.rows()) == pack_states(empty.states, np.array([empty.add("b")]))


def test_table_grows_beyond_its_first_rows() -> None:
    table: StateTable[int] = StateTable()
    slots = [table.add(i) for i in range(5_000)]
    assert len(set(slots)) == 5_000
    assert len(table.states.counters) >= 5_000
