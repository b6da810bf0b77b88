"""The circular setting in-store and held out: who is judged, what stands beside them, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from studies.persona_llm.contenders.without_model import Chain, partners, planned, replay
from studies.persona_llm.plan import Chosen, Fit, Likelihood, Pairing, Play
from studies.persona_llm.runs import KIND, Runs
from training.evaluation.bootstrap import Bootstrap, Estimate, Measure
from training.persona_llm.agents.agents import Run
from training.persona_llm.measures import Acted, Judged, strata_of
from training.persona_llm.model.prompts import GoalKind
from training.persona_llm.traces.goals import OUTCOMES
from training.persona_llm.traces.sessions import LANDMARK
from training.persona_llm.traces.traces import Split, Trace

Floats = NDArray[np.float64]

DRAWS: Final = 5
"""Simulated sessions per judged session, of baselines that cost nothing."""
_SEED: Final = 0


class Part:
    """Sessions judged with one encoder: all stores', or those of a store that it was not trained on."""

    def __init__(self, runs: Runs, fit: Fit, side: Split) -> None:
        self._runs, self.fit, self.side = runs, fit, side
        self.kind = KIND[fit.tokens]
        self.given = LANDMARK if fit.tokens == "early" else 0
        self.judged = runs.judged(fit, side)
        self.seen = runs.seen(fit)
        self.training = [trace for trace in self.seen if trace.split == "train"]
        self.in_store = fit.held_out is None

    def chain(self, *, by_code: bool) -> Chain:
        """A Markov chain a store (held out: of all training stores together), or a code of it."""
        return Chain(self.seen, self.kind, by_store=self.in_store, by_code=by_code, given=self.given)

    @cached_property
    def chains(self) -> dict[str, Chain]:
        """Both chains, by their names in the report."""
        return {"markov_store": self.chain(by_code=False), "markov_code": self.chain(by_code=True)}

    @cached_property
    def walked(self) -> dict[str, list[list[list[str]]]]:
        """Sessions of the chains, replayed ones, and of the chain of the code held to the replayed
        one's plan; DRAWS lists each."""
        random, stores = np.random.default_rng(_SEED), self._runs.stores
        traces = self.judged.traces
        found = {
            name: [chain.walk(traces, stores, random) for _ in range(DRAWS)]
            for name, chain in self.chains.items()
        }
        beside = [
            partners(traces, self.training, self.kind, random, by_store=self.in_store) for _ in range(DRAWS)
        ]
        found["replay"] = [replay(traces, each, stores, given=self.given) for each in beside]
        chain = self.chains["markov_code"]
        found["markov_planned"] = [
            chain.walk(traces, stores, random, planned(traces, each, stores, given=self.given))
            for each in beside
        ]
        return found

    def constant(self, rates: Callable[[Sequence[Trace]], tuple[float, float]]) -> Acted:
        """Every session acts at its pool's rates of carts and purchases; a pool is the store's training
        sessions or, held out, those of all training stores."""
        known = {store: rates(self._pool(store)) for store in self.judged.stores}
        pairs = np.array([known[trace.store] for trace in self.judged.traces])
        return Acted(pairs[:, 0], pairs[:, 1])

    def lookup(self) -> Acted:
        """Each session acts at the pool's rates of its own stratum: known, not forecast."""
        known = {}
        for store in self.judged.stores:
            pool = self._pool(store)
            furthest = strata_of(pool)
            for stratum in OUTCOMES:
                mine = [t for t in pool if furthest[t.store, t.buyer] == stratum]
                known[store, stratum] = rates_of(mine or pool)
        pairs = np.array(
            [known[t.store, s] for t, s in zip(self.judged.traces, self.judged.stratum, strict=True)]
        )
        return Acted(pairs[:, 0], pairs[:, 1])

    def _pool(self, store: str) -> list[Trace]:
        return [trace for trace in self.training if trace.store == store or not self.in_store]


def rates_of(traces: Sequence[Trace]) -> tuple[float, float]:
    """Shares of sessions with a cart and with a purchase."""
    acted = Acted.of([trace.actions for trace in traces])
    return float(acted.cart.mean()), float(acted.purchase.mean())


def strata_mean(traces: Sequence[Trace]) -> tuple[float, float]:
    """Mean of the strata's rates: the constant that does equally well in each."""
    furthest = strata_of(traces)
    found = [[t for t in traces if furthest[t.store, t.buyer] == stratum] for stratum in OUTCOMES]
    each = np.array([rates_of(mine) for mine in found if mine])
    return float(each[:, 0].mean()), float(each[:, 1].mean())


class Setting:
    """Parts judged together: in-store one part, held out one per store. Seeds not done are left out."""

    def __init__(self, runs: Runs, chosen: Chosen, fits: Sequence[Fit]) -> None:
        """fits: of the first seed, one a part."""
        self.runs, self.chosen = runs, chosen
        self.parts = [Part(runs, fit, "test") for fit in fits]
        self.judged = Judged.of([trace for part in self.parts for trace in part.judged.traces])
        self.bootstrap = Bootstrap(self.judged.buyers, _SEED, strata=self.judged.store_of_buyer)

    def fits(self, seed: int) -> list[Fit]:
        """The models of a seed, one a part."""
        return [part.fit.model_copy(update={"seed": seed}) for part in self.parts]

    def plays(self, seed: int, pairing: Pairing, goal: GoalKind = "neutral") -> list[Play]:
        """The simulations of a seed, one a part."""
        return [self.chosen.play(fit, pairing, goal) for fit in self.fits(seed)]

    def seeds(self, pairing: Pairing, goal: GoalKind = "neutral") -> list[int]:
        """Seeds whose simulations are there."""
        return [s for s in self.chosen.plan.seeds if self.runs.done(self.plays(s, pairing, goal))]

    def simulated(self, pairing: Pairing, goal: GoalKind = "neutral") -> list[list[Run]]:
        """What the agents did beside each judged session, a list a seed."""
        return [
            [run for play in self.plays(seed, pairing, goal) for run in self.runs.play(play)]
            for seed in self.seeds(pairing, goal)
        ]

    def agents(self, pairing: Pairing, goal: GoalKind = "neutral") -> list[Acted]:
        """Their carts and purchases, one per seed."""
        return [Acted.of([run.actions for run in runs]) for runs in self.simulated(pairing, goal)]

    def likelihoods(self, pairing: Pairing) -> list[Floats]:
        """Log-likelihoods of the judged sessions, one per seed."""
        seeds = self.chosen.plan.seeds
        each = [[Likelihood(fit=fit, pairing=pairing) for fit in self.fits(seed)] for seed in seeds]
        return [
            np.concatenate([self.runs.likelihood(task) for task in tasks])
            for tasks in each
            if self.runs.done(tasks)
        ]

    def baselines(self) -> dict[str, list[Acted]]:
        """What the baselines did, by name, one a draw."""
        whole = len(self.judged.traces)
        zero, one = np.zeros(whole), np.ones(whole)
        found = {
            "never_buys": [Acted(zero, zero)],
            "always_buys": [Acted(one, one)],
            "cart_never_buys": [Acted(one, zero)],
            "base_rate": [joined([part.constant(rates_of) for part in self.parts])],
            "strata_mean": [joined([part.constant(strata_mean) for part in self.parts])],
            "lookup": [joined([part.lookup() for part in self.parts])],
        }
        for name in self.parts[0].walked:
            found[name] = [
                Acted.of([actions for part in self.parts for actions in part.walked[name][draw]])
                for draw in range(DRAWS)
            ]
        return found

    def estimate(self, measure: Measure) -> Estimate:
        """A figure with its interval by buyer, drawn store by store."""
        return self.bootstrap.estimate(measure)


def joined(parts: Sequence[Acted]) -> Acted:
    """Parts one after the other."""
    return Acted(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
