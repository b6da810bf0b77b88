"""Part b of the issue: what a token from before the session says of it. Leak-free.

Strata are fixed before the session: quarters of a forecast by gradient boosting that was fitted on training
buyers, within each store, for carts and for purchases apart. Nothing of the judged session (early: of what
comes after its third event) is in the forecast or the token.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from studies.persona_llm.plan import LM_DRAWS, Chosen, Likelihood, Pairing, Play, Tokens
from studies.persona_llm.runs import Runs
from studies.persona_llm.settings import Part
from training.errors import EvaluationError
from training.evaluation.bootstrap import Bootstrap
from training.persona_llm import measures as m
from training.persona_llm.measures import Acted, Judged
from training.persona_llm.storefront.actions import ADD, PURCHASE
from training.persona_llm.traces.traces import Kind, Trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

QUARTERS: Final = 4
_SEED: Final = 0
_LEAST: Final = 5
"""Training sessions with and without an action that a forecast needs."""


def prediction(runs: Runs, chosen: Chosen, tokens: Tokens) -> dict[str, Any]:
    """Spread kept by agents, shuffled tokens and baselines, and the token's log-likelihood; seeds that are
    not done are left out.

    Raises:
        EvaluationError: no seed is done.
    """
    seeds = [
        seed
        for seed in chosen.plan.few_seeds
        if runs.done(chosen.predicting(chosen.fit(tokens=tokens, seed=seed)))
    ]
    if not seeds:
        raise EvaluationError(f"no model with the token {tokens} is done")
    fits = [chosen.fit(tokens=tokens, seed=seed) for seed in seeds]
    part = Part(runs, fits[0], "test")
    judged = part.judged
    forecasts = forecast(runs, part.training, judged, part.kind)
    acted = {name: [Acted.of(one) for one in each] for name, each in part.walked.items()}
    acted["boosting"] = [forecasts]
    pairings: dict[str, Pairing] = {"model": "matched", "shuffled token": "random"}
    for name, pairing in pairings.items():
        plays = [chosen.play(fit, pairing, draws=LM_DRAWS) for fit in fits]
        acted[name] = [one for play in plays for one in acted_in(runs, play)]
    bootstrap = Bootstrap(judged.buyers, _SEED, strata=judged.store_of_buyer)
    figures: dict[str, Any] = {
        "seeds": seeds,
        "sessions": len(judged.traces),
        "with cart": int(judged.real.cart.sum()),
        "with purchase": int(judged.real.purchase.sum()),
        "spread_kept": {},
        "over_shuffled": {},
    }
    for action in ("cart", "purchase"):
        groups, store_of_group = quarters(judged, getattr(forecasts, action), getattr(judged.real, action))
        figures["spread_kept"][action] = {
            name: bootstrap.estimate(_slope(judged, groups, store_of_group, action, each))._asdict()
            for name, each in acted.items()
        }
        slopes = [
            _slope(judged, groups, store_of_group, action, acted[name])
            for name in ("model", "shuffled token")
        ]
        figures["over_shuffled"][action] = bootstrap.difference(*slopes)._asdict()
    likelihoods = {
        name: np.mean([runs.likelihood(Likelihood(fit=fit, pairing=pairing)) for fit in fits], axis=0)
        for name, pairing in pairings.items()
    }
    likelihoods |= {name: chain.log_likelihood(judged.traces) for name, chain in part.chains.items()}
    figures["log-likelihood a session"] = {
        name: bootstrap.estimate(partial(m.by_buyer, judged, values))._asdict()
        for name, values in likelihoods.items()
    }
    figures["model less"] = {
        name: bootstrap.estimate(partial(m.by_buyer, judged, likelihoods["model"] - values))._asdict()
        for name, values in likelihoods.items()
        if name != "model"
    }
    return figures


def acted_in(runs: Runs, play: Play) -> list[Acted]:
    """What the agents did, one a draw."""
    did = runs.play(play)
    size = len(did) // play.draws
    return [
        Acted.of([run.actions for run in did[first : first + size]]) for first in range(0, len(did), size)
    ]


def _slope(
    judged: Judged, groups: Ints, store_of_group: Ints, action: str, each: list[Acted]
) -> Callable[[Floats], Floats]:
    kept = groups >= 0
    agent = np.mean([getattr(one, action) for one in each], axis=0)[kept]
    real = getattr(judged.real, action)[kept]

    def measure(weights: Floats) -> Floats:
        return m.spread_kept(groups[kept], store_of_group, real, agent, weights[:, judged.buyer[kept]])

    return measure


def forecast(runs: Runs, training: list[Trace], judged: Judged, kind: Kind) -> Acted:
    """Probabilities of a cart and of a purchase by gradient boosting, per store, on the vectors of `kind`:
    fitted on training buyers, told of judged ones. The store's rate where too few did it."""
    rows, vectors = runs.material.vectors[kind]
    of = {_key(runs.material.traces[row]): vector for row, vector in zip(rows.tolist(), vectors, strict=True)}
    out = np.zeros((len(judged.traces), 2))
    for place, store in enumerate(judged.stores):
        mine = np.flatnonzero(judged.store == place)
        known = [trace for trace in training if trace.store == store]
        for column, action in enumerate((ADD, PURCHASE)):
            did = np.array([action in trace.actions for trace in known])
            if min(did.sum(), (~did).sum()) < _LEAST:
                out[mine, column] = did.mean()
                continue
            model = HistGradientBoostingClassifier(
                max_iter=60, learning_rate=0.05, max_leaf_nodes=8, random_state=_SEED
            )
            with threadpool_limits(1):
                model.fit(np.stack([of[_key(trace)] for trace in known]), did)
                asked = np.stack([of[_key(judged.traces[i])] for i in mine])
                out[mine, column] = model.predict_proba(asked)[:, 1]
    return Acted(out[:, 0], out[:, 1])


def _key(trace: Trace) -> tuple[str, str, int]:
    return trace.store, trace.buyer, trace.number


def quarters(judged: Judged, forecasts: Floats, real: Floats) -> tuple[Ints, Ints]:
    """Quarters of a forecast within each store: groups int64 [n], -1 in stores where nobody, or everybody,
    did it or the forecast says one thing of all; and the store of each group."""
    groups = np.full(len(forecasts), -1, np.int64)
    store_of_group: list[int] = []
    for store in range(len(judged.stores)):
        mine = np.flatnonzero(judged.store == store)
        if len(np.unique(real[mine])) < 2 or len(np.unique(forecasts[mine])) < 2:
            continue
        ranks = np.argsort(np.argsort(forecasts[mine], kind="stable"), kind="stable")
        groups[mine] = len(store_of_group) + ranks * QUARTERS // len(mine)
        store_of_group += [store] * QUARTERS
    used, numbers = np.unique(store_of_group, return_inverse=True)
    return groups, np.asarray(numbers, np.int64) if len(used) else np.zeros(0, np.int64)
