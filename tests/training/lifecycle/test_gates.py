from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.lifecycle.gate_figures import Figures
from training.lifecycle.gates import GateSettings, judge, refusal, verdict_table

CHAMPION = Figures(
    purity=0.9,
    incoherence=0.02,
    js=0.05,
    perplexity=150.0,
    changed_codes=0.0001,
    latency_ms=1.0,
    kappa=0.5,
    ece=0.02,
    auc=0.7,
    lift=2.5,
)
SETTINGS = GateSettings()


def failed(candidate: Figures) -> list[str]:
    return [it.gate for it in judge(CHAMPION, candidate, SETTINGS) if not it.passed]


def test_an_equal_candidate_passes_every_gate() -> None:
    assert failed(CHAMPION) == []
    assert refusal(judge(CHAMPION, CHAMPION, SETTINGS)) is None


@pytest.mark.parametrize(
    ("gate", "worse", "bearable"),
    [
        ("purity", 0.87, 0.885),
        ("incoherence", 0.05, 0.035),
        ("js", 0.08, 0.065),
        ("perplexity", 110.0, 125.0),
        ("changed_codes", 0.002, 0.0009),
        ("latency_ms", 1.6, 1.4),
    ],
)
def test_each_gate_refuses_what_is_worse_than_its_bound(gate: str, worse: float, bearable: float) -> None:
    assert failed(CHAMPION._replace(**{gate: worse})) == [gate]
    assert failed(CHAMPION._replace(**{gate: bearable})) == []


def test_a_refusal_has_the_failing_figures_and_no_others() -> None:
    verdicts = judge(CHAMPION, CHAMPION._replace(purity=0.5, perplexity=20.0), SETTINGS)
    said = refusal(verdicts)
    assert said == "purity 0.5 (champion 0.9, bound 0.88); perplexity 20 (champion 150, bound 120)"
    lines = verdict_table(verdicts).splitlines()
    assert [line.split()[0] for line in lines if "FAILED" in line] == ["purity", "perplexity"]
    assert sum("passed" in line for line in lines) == 8


@pytest.mark.parametrize("figure", ["purity", "js", "perplexity", "changed_codes", "latency_ms"])
def test_a_figure_that_is_not_a_number_fails(figure: str) -> None:
    assert failed(CHAMPION._replace(**{figure: math.nan})) == [figure]


def test_incoherence_that_the_champion_lacks_says_nothing() -> None:
    lacking = CHAMPION._replace(incoherence=math.nan)
    verdicts = judge(lacking, CHAMPION._replace(incoherence=1.0, purity=0.1), SETTINGS)
    assert [it.gate for it in verdicts if not it.passed] == ["purity"]
    assert refusal(judge(lacking, lacking, SETTINGS)) is None


def test_incoherence_that_the_candidate_alone_lacks_fails() -> None:
    assert failed(CHAMPION._replace(incoherence=math.nan)) == ["incoherence"]


def foreseeing(**differences: tuple[float, float]) -> Figures:
    """A candidate as good as the champion, but for the given intervals of the difference to it."""
    equal = dict.fromkeys(("kappa", "ece", "auc", "lift"), (-0.01, 0.01))
    return CHAMPION._replace(apart=equal | differences)


@pytest.mark.parametrize(
    ("gate", "loses", "bearable"),
    [
        ("kappa", (-0.2, -0.05), (-0.09, 0.3)),
        ("ece", (0.0, 0.05), (-0.2, 0.02)),
        ("auc", (-0.06, 0.06), (-0.04, -0.01)),
        ("lift", (-0.8, 0.8), (-0.6, 0.0)),
    ],
)
def test_what_is_foreseen_is_judged_by_the_worse_end(
    gate: str, loses: tuple[float, float], bearable: tuple[float, float]
) -> None:
    assert failed(foreseeing(**{gate: loses})) == [gate]
    assert failed(foreseeing(**{gate: bearable})) == []


def test_a_refusal_says_how_bad_it_may_be() -> None:
    said = refusal(judge(CHAMPION, foreseeing(auc=(-0.06, 0.06)), SETTINGS))
    assert said == "auc 0.7, at worst 0.64 (champion 0.7, bound 0.65)"


@pytest.mark.parametrize("figure", ["kappa", "ece", "auc", "lift"])
def test_a_candidate_that_stops_foreseeing_fails_and_one_that_starts_passes(figure: str) -> None:
    lacking = CHAMPION._replace(**{figure: math.nan})
    assert failed(lacking) == [figure]
    assert [it.gate for it in judge(lacking, CHAMPION, SETTINGS) if not it.passed] == []


@given(st.sampled_from(["purity", "perplexity"]), st.floats(0, 1), st.floats(0, 1))
def test_better_never_fails_where_worse_passed(gate: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if gate not in failed(CHAMPION._replace(**{gate: low})):
        assert gate not in failed(CHAMPION._replace(**{gate: high}))
