"""The loop: real sessions given as runs come back whole, codes of others do not, chance is as drawn."""

from __future__ import annotations

import numpy as np
import pytest

from feature_store.history.offline_fold import fold_history
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from tests.training.persona_llm.shops import event, shopping_trip
from training.errors import DatasetError
from training.persona_llm.agents.agents import Run, Shopper
from training.persona_llm.agents.loop import loop_figures
from training.persona_llm.storefront.actions import LEAVE, Step
from training.persona_llm.storefront.storefront import Goal
from training.persona_llm.traces.traces import NO_CODE, Trace, make_traces

BUNDLE = starter_bundle_path()


def traces() -> list[Trace]:
    encoder = OnnxEncoder(load_bundle(BUNDLE))
    events = []
    for i in range(12):
        events += shopping_trip(f"buyer-{i}")
        events += [event("product_view", m, f"looker-{i}", f"p{m}") for m in range(3 + i)]
    return make_traces([events], lambda vectors: encoder.encode(vectors).code, min_events=3, seed=0)


def run_of(trace: Trace, code: int | None = None) -> Run:
    code = trace.codes["after"] if code is None else code
    return Run(Shopper(trace.store, code, Goal("Visit.", None)), "done", trace.steps, 0)


def test_what_really_happened_comes_back() -> None:
    real = traces()
    found = loop_figures([run_of(trace) for trace in real], real, BUNDLE, seed=0)
    assert found["runs"] == len(real)
    for figures in (found["code"], found["type"]):
        assert figures["simulated"] == figures["replay"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        assert 0 < figures["chance"] < 1


def test_codes_of_others_do_not_come_back() -> None:
    real = traces()
    unused = next(c for c in range(256) if c not in {trace.codes["after"] for trace in real})
    found = loop_figures([run_of(trace, unused) for trace in real], real, BUNDLE, seed=0)
    assert found["code"]["simulated"]["value"] == found["code"]["chance"] == 0.0


def test_chance_is_the_share_that_dealing_codes_out_anew_gives() -> None:
    real = traces()
    code = np.array([trace.codes["after"] for trace in real])
    expected = sum(np.square(np.unique(code, return_counts=True)[1] / len(code)))
    found = loop_figures([run_of(trace) for trace in real], real, BUNDLE, seed=0)
    assert found["code"]["chance"] == pytest.approx(expected)


def test_a_session_without_events_counts_as_not_come_back() -> None:
    real = traces()
    silent = run_of(real[0])._replace(steps=[Step(LEAVE, None, None, 0)])
    found = loop_figures([run_of(real[0]), silent], real, BUNDLE, seed=0)
    assert found["code"]["simulated"]["value"] == found["type"]["simulated"]["value"] == 0.5


def test_runs_without_a_token_close_no_loop() -> None:
    real = traces()
    with pytest.raises(DatasetError, match="persona token"):
        loop_figures([run_of(real[0], NO_CODE)], real, BUNDLE, seed=0)


def test_the_code_is_the_one_that_the_live_path_would_say() -> None:
    (trace,) = make_traces(
        [shopping_trip()], lambda vectors: vectors[:, 0].astype(np.int64), min_events=3, seed=0
    )
    code = int(OnnxEncoder(load_bundle(BUNDLE)).encode(fold_history([shopping_trip()]).vectors()).code[0])
    found = loop_figures([run_of(trace, code)], [trace], BUNDLE, seed=0)
    assert found["code"]["simulated"]["value"] == 1.0
