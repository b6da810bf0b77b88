"""Traces made by hand, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from training.persona_llm.storefront.actions import LEAVE, Step
from training.persona_llm.storefront.store_model import StoreModel
from training.persona_llm.traces.goals import outcome
from training.persona_llm.traces.traces import Split, Trace


def trace(
    actions: Sequence[str],
    *,
    buyer: str = "b",
    store: str = "acme",
    code: int = 0,
    split: Split = "test",
    number: int = 1,
) -> Trace:
    """A session of these actions; leaving is added."""
    steps = [Step(action, None, None, 1000) for action in (*actions, LEAVE)]
    return Trace(
        store=store,
        buyer=buyer,
        number=number,
        started=0,
        known_before=0,
        split=split,
        codes={"before": -1, "early": code, "after": code},
        outcome=outcome(steps),
        neutral="Visit the shop.",
        explicit="Buy something.",
        wrong="Look around; buy nothing.",
        wrong_outcome="D",
        steps=steps,
    )


def store_of(traces: Sequence[Trace], store: str = "acme") -> StoreModel:
    """The storefront that these sessions show; every link counts, however rare."""
    return StoreModel.learn(store, [one.steps for one in traces for _ in range(2)], seed=0)
