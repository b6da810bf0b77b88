"""Part c of the issue: goals that say nothing, say the intent, or say a wrong one; schedules; failed runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from studies.persona_llm.contenders.trace_codes import outcome_of
from studies.persona_llm.plan import Pairing
from studies.persona_llm.settings import Setting
from training.persona_llm import measures as m
from training.persona_llm.agents.agents import ENDS, Run
from training.persona_llm.measures import Acted
from training.persona_llm.model.prompts import GoalKind
from training.persona_llm.traces.goals import FULFILLED_BY, Outcome

Floats = NDArray[np.float64]

TASKS: Final[dict[str, Outcome]] = {"cart": "C", "checkout": "B", "purchase": "A"}
FAILED: Final = frozenset(ENDS) - {"done"}


def by_goal(setting: Setting) -> dict[str, Any]:
    """ARA with each kind of goal; under a wrong one, what the agents follow; the worst store's error."""
    figures: dict[str, Any] = {}
    kinds: tuple[GoalKind, ...] = ("neutral", "explicit", "wrong")
    for goal in kinds:
        acted = setting.agents("matched", goal)
        if acted:
            figures[goal] = {
                "ara": setting.estimate(_mean(setting, acted))._asdict(),
                "worst_store_error": setting.estimate(_worst(setting, acted))._asdict(),
            }
    if wrong := setting.simulated("matched", "wrong"):
        traces = setting.judged.traces
        ended = [[outcome_of(run.actions) for run in runs] for runs in wrong]
        figures["wrong"] |= {
            "did what the session did": _share(setting, ended, [trace.outcome for trace in traces]),
            "did what the goal said": _share(setting, ended, [trace.wrong_outcome for trace in traces]),
        }
    return figures


def failures(setting: Setting) -> dict[str, Any]:
    """Failed runs with the token and without, on goals that say the session's own intent; goal tasks.

    failed: the run did not end as "done" (agents.ENDS): it left, ran on, looped or was refused before its
    goal was fulfilled. Only goals that ask for something: a cart, a checkout, a purchase.
    """
    judged = setting.judged
    asked = np.array([FULFILLED_BY[trace.outcome] is not None for trace in judged.traces])
    pairs: dict[str, Pairing] = {"token": "matched", "no_token": "none"}
    figures: dict[str, Any] = {"tasks": {}, "ends": {}}
    shares: dict[str, Floats] = {}
    for name, pairing in pairs.items():
        runs, neutral = setting.simulated(pairing, "explicit"), setting.simulated(pairing)
        if not runs or not neutral:
            return {}
        failed = np.mean([[run.end in FAILED for run in seed] for seed in runs], axis=0)
        shares[name] = failed
        figures[name] = setting.estimate(_among(setting, asked, failed))._asdict()
        figures["ends"][name] = {
            "neutral": _ends(setting, neutral),
            "explicit": _ends(setting, runs),
        }
        figures["tasks"][name] = {
            task: setting.estimate(
                _among(setting, np.array([t.outcome == wanted for t in judged.traces]), 1 - failed)
            )._asdict()
            for task, wanted in TASKS.items()
            if any(t.outcome == wanted for t in judged.traces)
        }
    with_token, without = (_among(setting, asked, shares[name]) for name in pairs)
    figures["fewer"] = setting.estimate(lambda w: 1 - with_token(w) / np.maximum(without(w), 1e-9))._asdict()
    short = {name: _among(setting, asked, _short(setting, pairing)) for name, pairing in pairs.items()}
    figures["short_of_the_session"] = {name: setting.estimate(one)._asdict() for name, one in short.items()}
    figures["fewer_short"] = setting.estimate(
        lambda w: 1 - short["token"](w) / np.maximum(short["no_token"](w), 1e-9)
    )._asdict()
    return figures


def _short(setting: Setting, pairing: Pairing) -> Floats:
    """With neutral goals: share of seeds in which the agent did not come as far as the session did."""
    runs = setting.simulated(pairing)
    traces = setting.judged.traces
    return np.asarray(
        [
            np.mean([outcome_of(seed[i].actions) > trace.outcome for seed in runs])
            for i, trace in enumerate(traces)
        ]
    )


def _ends(setting: Setting, runs: Sequence[Sequence[Run]]) -> dict[str, dict[str, float]]:
    def share(end: str) -> Floats:
        return np.asarray(np.mean([[run.end == end for run in seed] for seed in runs], axis=0))

    return {end: setting.estimate(partial(m.by_buyer, setting.judged, share(end)))._asdict() for end in ENDS}


def _share(setting: Setting, ended: Sequence[Sequence[str]], wanted: Sequence[str]) -> dict[str, float]:
    same = np.mean([[e == w for e, w in zip(seed, wanted, strict=True)] for seed in ended], axis=0)
    return setting.estimate(lambda weights: m.by_buyer(setting.judged, same, weights))._asdict()


def _worst(setting: Setting, acted: Sequence[Acted]) -> Callable[[Floats], Floats]:
    def measure(weights: Floats) -> Floats:
        by_store = np.mean([m.ara_by_store(setting.judged, one, weights) for one in acted], axis=0)
        return np.asarray(1 - np.nanmin(by_store, axis=1))

    return measure


def _mean(setting: Setting, acted: Sequence[Acted]) -> Callable[[Floats], Floats]:
    return lambda weights: np.mean([m.ara(setting.judged, one, weights) for one in acted], axis=0)


def _among(setting: Setting, asked: NDArray[np.bool_], values: Floats) -> Callable[[Floats], Floats]:
    """Mean of values over the sessions that are asked."""

    def measure(weights: Floats) -> Floats:
        drawn = weights[:, setting.judged.buyer] * asked
        return np.asarray(drawn @ values / np.maximum(drawn.sum(axis=1), 1e-9))

    return measure
