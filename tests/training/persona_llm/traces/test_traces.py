"""Traces: the same history gives the same ones, a changed file is refused, no buyer is on two sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_store.contract.events import Event
from tests.training.persona_llm.shops import event, shopping_trip
from training.errors import DatasetError
from training.persona_llm.traces.goals import OUTCOMES, outcome
from training.persona_llm.traces.traces import (
    NO_CODE,
    SPLIT_SEED,
    load_traces,
    make_traces,
    save_traces,
    split_of,
)


def events() -> list[Event]:
    return [e for i in range(40) for start in (0, 100) for e in shopping_trip(f"b{i}", start)[: 3 + i % 4]]


def encode(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    return vectors[:, 0].astype(np.int64)


def test_traces_are_written_and_read_back(tmp_path: Path) -> None:
    traces = make_traces([events()], encode, min_events=3, seed=1)
    save_traces(traces, {"seed": 1}, tmp_path)
    read, manifest = load_traces(tmp_path)
    assert read == traces
    assert (manifest["seed"], manifest["split_seed"]) == (1, SPLIT_SEED)
    about = manifest["stores"]["acme"]
    assert sum(about["sessions"].values()) == len(traces)
    assert about["with_token"]["after"] == len(traces)
    assert sum(about["base_rates"].values()) == pytest.approx(1, abs=1e-3)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    save_traces(make_traces([events()], encode, min_events=3, seed=1), {}, tmp_path)
    content = bytearray((tmp_path / "traces.parquet").read_bytes())
    content[100] ^= 1
    (tmp_path / "traces.parquet").write_bytes(content)
    with pytest.raises(DatasetError, match=r"traces\.parquet is missing or was changed; prepare it again"):
        load_traces(tmp_path)
    (tmp_path / "manifest.json").write_text('{"sha256": "0"}')  # of an older version
    with pytest.raises(DatasetError, match="does not name the files of the traces; prepare it again"):
        load_traces(tmp_path)


def test_no_traces_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="llm prepare"):
        load_traces(tmp_path)
    with pytest.raises(DatasetError, match="no session has 9 events"):
        make_traces([events()], encode, min_events=9, seed=1)


def test_the_first_session_has_no_token_from_before() -> None:
    traces = make_traces([events()], encode, min_events=3, seed=1)
    assert all((trace.codes["before"] == NO_CODE) == (trace.number == 1) for trace in traces)
    assert {trace.number for trace in traces} == {1, 2}


def test_all_sessions_of_a_buyer_are_on_one_side_and_sides_have_their_shares() -> None:
    traces = make_traces([events()], encode, min_events=3, seed=1)
    assert all(len({t.split for t in traces if t.buyer == buyer}) == 1 for buyer in {t.buyer for t in traces})
    sides = [split_of("acme", str(i)) for i in range(4_000)]
    for side, share in {"train": 0.5, "validation": 0.1, "test": 0.4}.items():
        assert sides.count(side) / len(sides) == pytest.approx(share, abs=0.03)


def test_goals_say_the_outcome_or_nothing_of_it() -> None:
    traces = make_traces([events()], encode, min_events=3, seed=1)
    assert {trace.outcome for trace in traces} == {"A", "C", "D"}
    for trace in traces:
        assert trace.outcome == outcome(trace.steps)
        assert trace.wrong_outcome in set(OUTCOMES) - {trace.outcome}
        assert trace.wrong != trace.explicit
        assert "lamps" in trace.explicit
    neutral = {trace.outcome: {t.neutral for t in traces if t.outcome == trace.outcome} for trace in traces}
    assert neutral["A"] & neutral["D"], "a neutral goal gives the outcome away"


def test_goals_follow_the_seed_and_nobody_elses_sessions() -> None:
    everyone = {(t.buyer, t.number): t for t in make_traces([events()], encode, min_events=3, seed=1)}
    some = [e for e in events() if e.buyer == "b7"]
    for trace in make_traces([some], encode, min_events=3, seed=1):
        assert trace == everyone[trace.buyer, trace.number]
    other_seed = make_traces([events()], encode, min_events=3, seed=2)
    assert [t.neutral for t in other_seed] != [t.neutral for t in everyone.values()]
    assert [t.split for t in other_seed] == [t.split for t in everyone.values()], "no seed moves a buyer"


def test_a_category_that_is_a_number_is_not_put_into_words() -> None:
    views = [event("product_view", minute, product=str(minute), category="204") for minute in range(4)]
    (trace,) = make_traces([views], encode, min_events=3, seed=0)
    assert "204" not in trace.explicit
