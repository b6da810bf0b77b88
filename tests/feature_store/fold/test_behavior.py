"""The laws of the fold, and each outcome that its docstring states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.events import Event
from feature_store.fold.behavior import COUNTER
from feature_store.fold.state import pack_states, unpack_states
from feature_store.fold.table import StateTable
from feature_store.history.offline_fold import History, fold_history
from tests.feature_store.fold.plain import plain_fold
from tests.strategies import MINUTE, START, cuts, event, histories


def counters(history: History, buyer: str = "b1") -> dict[str, int]:
    slot = history.table.slots["acme", buyer]
    return dict(zip(COUNTER, history.table.states.counters[slot].tolist(), strict=True))


def latest(history: History, buyer: str) -> list[int]:
    acts = history.table.states.latest[history.table.slots[("acme", buyer)]]
    return [act for act in acts.tolist() if act]


@given(histories())
def test_kernel_equals_the_plain_definition(events: list[Event]) -> None:
    history = fold_history([events])
    for (_, buyer), plain in plain_fold(events).items():
        assert counters(history, buyer) == plain.counters
        assert latest(history, buyer) == plain.latest
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
