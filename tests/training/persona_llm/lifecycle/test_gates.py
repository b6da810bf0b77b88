"""Gates: figures of real agents, and a candidate that is worse by more than the bound is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from training.errors import GateError
from training.lifecycle.gates import refusal
from training.persona_llm.lifecycle.gate_settings import LlmGateSettings
from training.persona_llm.lifecycle.gates import LlmFigures, gate_traces, judge, measure, with_codes
from training.persona_llm.model.base import load_base
from training.persona_llm.model.folder import load_llm
from training.persona_llm.model.tokens import add_persona_tokens
from training.persona_llm.traces.traces import NO_CODE, Trace, load_traces

pytestmark = pytest.mark.numeric

SETTINGS = LlmGateSettings()


@pytest.fixture(scope="module")
def traces(llm_folder: Path) -> list[Trace]:
    return gate_traces(load_traces(llm_folder.with_name("traces"))[0], ["after"], SETTINGS, 0)


def test_a_trained_model_fails_less_often_than_an_untrained_one(
    llm_folder: Path, traces: list[Trace]
) -> None:
    model = load_llm(llm_folder)
    untrained = load_base("small", seed=0)
    add_persona_tokens(untrained, seed=0)
    ours = measure(model.base, model.stores, traces, "after", 0)
    theirs = measure(untrained, model.stores, traces, "after", 0)
    assert 0 <= ours.failed_runs < theirs.failed_runs <= 1
    assert "failed_runs" in str(refusal(judge(ours, theirs, SETTINGS)))
    # ARA of so few sessions says little, and who never buys has half of it: it is a share, no more is a law.
    assert all(0 <= figures.ara <= 1 for figures in (ours, theirs))


@pytest.mark.parametrize(
    ("candidate", "refused"),
    [
        (LlmFigures(0.81, 0.11), []),
        (LlmFigures(0.77, 0.1), ["ara"]),
        (LlmFigures(0.9, 0.2), ["failed_runs"]),
        (LlmFigures(math.nan, 0.2), ["ara", "failed_runs"]),
    ],
)
def test_how_much_worse_is_too_much(candidate: LlmFigures, refused: list[str]) -> None:
    verdicts = judge(LlmFigures(0.8, 0.1), candidate, SETTINGS)
    assert [verdict.gate for verdict in verdicts if not verdict.passed] == refused


def test_a_first_model_has_nothing_to_be_worse_than() -> None:
    assert refusal(judge(None, LlmFigures(math.nan, 1.0), SETTINGS)) is None


def test_judged_are_test_sessions_with_a_token(traces: list[Trace], llm_folder: Path) -> None:
    assert {trace.split for trace in traces} == {"test"}
    few = gate_traces(traces, ["after"], LlmGateSettings(sessions=5), 1)
    assert len(few) == 5
    assert few == gate_traces(traces, ["after"], LlmGateSettings(sessions=5), 1)
    with pytest.raises(GateError, match="no test session has a token of the kind 'after' and 'before'"):
        gate_traces(traces, ["before", "after"], SETTINGS, 0)


def test_tokens_of_another_codebook_are_those_that_the_map_gives(traces: list[Trace]) -> None:
    codes = np.full(256, NO_CODE)
    codes[traces[0].codes["after"]] = 9
    mapped = with_codes(traces, "after", codes)
    for trace, before in zip(mapped, traces, strict=True):
        same = before.codes["after"] == traces[0].codes["after"]
        assert trace.codes["after"] == (9 if same else NO_CODE)
