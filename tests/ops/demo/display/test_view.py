"""The live view: what stands in it, and that its size never changes."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from feature_store.online.assignment import Assignment, token
from ops.demo.display.shown_shoppers import Shopper, ShownShoppers
from ops.demo.display.view import ROWS, Snapshot, plain_line, render

NOTHING_YET = Snapshot(
    seconds=0.0,
    sent=0,
    tagged=0,
    events_per_s=0.0,
    p50_ms=None,
    p99_ms=None,
    lag=None,
    assignments=0,
    buyers=0,
    dead_letters=0,
    worker="starting (pid 4194304)",
    restarts=0,
    encoder="onnx",
)


def assignment(buyer: str = "9f2c51e07a", store: str = "acme", **changes: object) -> Assignment:
    fields = {
        "store": store,
        "buyer": buyer,
        "code": 17,
        "token": token(17),
        "type": None,
        "confidence": None,
        "distance": 1.0,
        "margin": 0.5,
        "codebook_version": "v",
        "events": 12,
        "reason": "code",
        "event_time": 1,
        "assigned_at": 2,
        "partition": 0,
        "offset": 3,
    }
    return Assignment(**(fields | changes))  # type: ignore[arg-type]


def lines(snapshot: Snapshot, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True, force_terminal=True)
    console.print(render(snapshot))
    return console.export_text().splitlines()


def test_a_shopper_is_shown_whole_on_80_columns() -> None:
    said = assignment(code=255, token=token(255), confidence=0.812, reason="session_end", events=1_234)
    shopper = Shopper(said, since=0.0, tagged=0.0, stage="A purchased")
    text = "\n".join(lines(replace(NOTHING_YET, shoppers=[shopper], fresh=frozenset({0}))))
    for shown in (
        "acme",
        "9f2c51e0",
        "A purchased",
        "255",
        "<|persona_255|>",
        "0.81",
        "1,234",
        "session_end",
    ):
        assert shown in text
    assert "9f2c51e07a" not in text  # the pseudonym is cut


def test_a_confidence_that_is_not_there_is_a_dash() -> None:
    row = next(
        line for line in lines(replace(NOTHING_YET, shoppers=[Shopper(assignment(), 0, 0)])) if "acme" in line
    )
    assert " - " in row


def test_figures() -> None:
    known = replace(
        NOTHING_YET,
        events_per_s=25_300.4,
        p50_ms=31.2,
        p99_ms=1_240.0,
        lag=1_200,
        restarts=1,
        encoder="onnx, no triton",
    )
    text = "\n".join(lines(known, 120))
    for shown in ("25,300", "31 / 1,240 ms", "1,200", "1 restart ", "onnx, no triton", "pid 4194304"):
        assert shown in text
    assert "1 restarts" not in plain_line(known)
    assert "p50/p99 31 / 1,240 ms" in plain_line(known)


@pytest.mark.parametrize("width", [80, 100, 220])
@given(
    shoppers=st.lists(
        st.builds(
            lambda store, code, events: Shopper(
                assignment(store=store, code=code, token=token(code), events=events), 0.0, 0.0, "B checkout"
            ),
            st.text("aB.-_7", min_size=1, max_size=64),
            st.integers(0, 255),
            st.integers(1, 10**9),
        ),
        max_size=ROWS,
    ),
    rate=st.floats(0, 1e6),
    big=st.integers(0, 10**8),
)
def test_the_size_never_changes(width: int, shoppers: list[Shopper], rate: float, big: int) -> None:
    snapshot = replace(
        NOTHING_YET,
        shoppers=shoppers,
        events_per_s=rate,
        tagged=big,
        sent=big,
        lag=big,
        p50_ms=rate,
        p99_ms=rate,
        seconds=rate / 1000,
        worker="running (pid 4194304)",
        restarts=12,
        encoder="onnx, no triton",
    )
    shown = lines(snapshot, width)
    assert len(shown) == len(lines(NOTHING_YET, width)) < 24
    assert max(map(len, shown)) <= width


def test_a_shopper_on_the_board_changes_in_place() -> None:
    shown = ShownShoppers(2)
    for buyer in "ab":
        shown.add(assignment(buyer), now=0.0)
    shown.turn(0.0)
    shown.add(assignment("a", code=3), now=1.0)
    shown.turn(1.0)
    assert sorted((row.assignment.buyer, row.assignment.code) for row in shown.rows) == [("a", 3), ("b", 17)]


def test_a_row_stays_readable_then_goes_to_who_has_most_to_show() -> None:
    shown = ShownShoppers(1)
    shown.add(assignment("a"), now=0.0)
    shown.turn(0.0)
    for buyer, events in (("b", 1), ("c", 5), ("d", 2)):
        shown.add(assignment(buyer, events=events), now=1.0)
    shown.turn(1.0)
    assert shown.rows[0].assignment.buyer == "a"
    shown.turn(5.0)
    assert shown.rows[0].assignment.buyer == "c"
    assert shown.is_fresh(shown.rows[0], 5.5)
    assert not shown.is_fresh(shown.rows[0], 7.0)
