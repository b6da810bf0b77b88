"""Part a of the issue: does the token carry what shoppers did? Circular: it was made from all they did."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from studies.persona_llm.plan import Pairing
from studies.persona_llm.settings import Setting
from training.evaluation.bootstrap import Estimate, interval
from training.persona_llm import measures as m
from training.persona_llm.measures import Acted

Floats = NDArray[np.float64]

AGENTS: Final[dict[str, Pairing]] = {
    "matched": "matched",
    "mismatched": "random",
    "other_stratum": "other",
    "opposite_stratum": "opposite",
    "no_token": "none",
}
"""Names in the report -> whose token."""


def expressiveness(setting: Setting, more: Mapping[str, list[Acted]]) -> dict[str, Any]:
    """ARA of agents and baselines with intervals, the gain over a random token, log-likelihoods.

    more: what other contenders did on the same sessions (a text profile), one per seed.
    """
    acted = {name: setting.agents(pairing) for name, pairing in AGENTS.items()}
    acted |= setting.baselines() | dict(more)
    acted = {name: each for name, each in acted.items() if each}
    # By buyer sample, store and contender; all on the same samples, so differences are paired.
    drawn = {name: setting.bootstrap.all(partial(_by_store, setting, each)) for name, each in acted.items()}
    means = {name: m.mean_of_known(by_store) for name, by_store in drawn.items()}
    return {
        "seeds": setting.seeds("matched"),
        "sessions": len(setting.judged.traces),
        "buyers": setting.judged.buyers,
        "ara": {name: estimate(values) for name, values in means.items()},
        "seeds_of": {
            name: [float(m.ara(setting.judged, one, _once(setting))[0]) for one in each]
            for name, each in acted.items()
            if name in AGENTS or name in more
        },
        "by_store": {
            store: {name: estimate(values[:, i]) for name, values in drawn.items()}
            for i, store in enumerate(setting.judged.stores)
        },
        "interval_by_store": {
            name: _over_stores(values[0])
            for name, values in drawn.items()
            if name in ("matched", "mismatched")
        },
        "over_mismatched": estimate(means["matched"] - means["mismatched"]),
        "over_markov_code": estimate(means["matched"] - means["markov_code"]),
        "share_of_gain": estimate(m.share_of_gain(means["matched"], means["mismatched"], means["replay"])),
        "share_of_gain_by_store": {
            store: estimate(m.share_of_gain(*(drawn[n][:, i] for n in ("matched", "mismatched", "replay"))))
            for i, store in enumerate(setting.judged.stores)
        },
        "worst_store_error": {
            name: estimate(1 - np.nanmin(values, axis=1)) for name, values in drawn.items()
        },
        "strata": _strata(setting, acted),
        "likelihood": _likelihood(setting),
    }


def _by_store(setting: Setting, each: Sequence[Acted], weights: Floats) -> Floats:
    found = [m.ara_by_store(setting.judged, one, weights) for one in each]
    return np.asarray(np.mean(found, axis=0))


def _once(setting: Setting) -> Floats:
    return np.ones((1, setting.judged.buyers))


def estimate(values: Floats) -> dict[str, float]:
    """{value, low, high} of [the figure, then its samples]; see bootstrap.interval."""
    return interval(float(values[0]), values[1:])._asdict()


def _over_stores(by_store: Floats) -> dict[str, float]:
    """The mean over stores with the interval of drawing stores anew, every draw counted once."""
    by_store = by_store[np.isfinite(by_store)]
    draws = itertools.product(by_store, repeat=len(by_store))
    means = np.array([np.mean(draw) for draw in draws])
    low, high = np.percentile(means, (2.5, 97.5))
    return Estimate(float(by_store.mean()), float(low), float(high))._asdict()


def _strata(setting: Setting, acted: Mapping[str, list[Acted]]) -> dict[str, Any]:
    """Rates of carts and purchases per store and stratum: real, and of each contender's mean over seeds."""
    judged = setting.judged
    figures: dict[str, Any] = {}
    for place, (store, stratum) in enumerate(judged.cells):
        mine = judged.cell == place
        rates = {"real": [float(judged.real.cart[mine].mean()), float(judged.real.purchase[mine].mean())]}
        for name in ("matched", "mismatched", "no_token", "markov_code", "replay"):
            if name in acted:
                rates[name] = [
                    float(np.mean([column[mine].mean() for column in columns]))
                    for columns in zip(*acted[name], strict=True)
                ]
        figures[f"{store} {stratum}"] = {"sessions": int(mine.sum()), "rates": rates}
    return figures


def _likelihood(setting: Setting) -> dict[str, Any]:
    """Mean log-likelihood of an action, nats, and paired differences by buyer: model less each other."""
    traces = [trace for part in setting.parts for trace in part.judged.traces]
    actions = np.array([len(trace.steps) for trace in traces], np.float64)
    likelihoods = {
        name: np.concatenate([part.chains[name].log_likelihood(part.judged.traces) for part in setting.parts])
        for name in ("markov_store", "markov_code")
    }
    pairings: dict[str, Pairing] = {"model": "matched", "random token": "random", "no token": "none"}
    for name, pairing in pairings.items():
        each = setting.likelihoods(pairing)
        if each:
            likelihoods[name] = np.mean(each, axis=0)

    def per_action(values: Floats) -> Any:
        def measure(weights: Floats) -> Floats:
            drawn = weights[:, setting.judged.buyer]
            return np.asarray(drawn @ values / (drawn @ actions))

        return setting.estimate(measure)._asdict()

    figures = {"an action": {name: per_action(values) for name, values in likelihoods.items()}}
    if "model" in likelihoods:
        figures["model less"] = {
            name: per_action(likelihoods["model"] - values)
            for name, values in likelihoods.items()
            if name != "model"
        }
    return figures
