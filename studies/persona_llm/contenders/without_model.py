"""Agents without a language model: Markov chains and replayed sessions, in the same storefronts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.persona_llm.model.plans import AIMS, held_back, plan_line
from training.persona_llm.storefront.actions import ACTIONS, LEAVE, NUMBER
from training.persona_llm.storefront.store_model import ENTRANCE, StoreModel, page_after
from training.persona_llm.storefront.storefront import STEP_LIMIT
from training.persona_llm.traces.traces import Kind, Trace

Floats = NDArray[np.float64]

STRENGTHS: Final = (1.0, 4.0, 16.0, 64.0)
"""How many sessions' worth a code's chain leans on the chain beneath it; validation chooses."""
_START: Final = len(ACTIONS)
_RARE: Final = 0.1
"""Added to every count at the bottom, so that nothing is impossible."""


class Chain:
    """A first-order Markov chain of actions for each pool (a store, or all of them) or, above it, each code.

    P(a | p, code) = (n_code(p, a) + strength P(a | p, pool)) / (n_code(p) + strength), n counted in training
    sessions of the pool; P(a | p, pool) likewise over the pool's plain counts of a.
    """

    def __init__(
        self, traces: Sequence[Trace], kind: Kind, *, by_store: bool, by_code: bool, given: int = 0
    ) -> None:
        self._kind, self._by_store, self._by_code, self._given = kind, by_store, by_code, given
        self._pools: dict[str, Floats] = defaultdict(_counts)
        self._codes: dict[tuple[str, int], Floats] = defaultdict(_counts)
        self._strength = STRENGTHS[0]
        for trace in traces:
            if trace.split == "train":
                for previous, action in self._moves(trace):
                    self._pools[self._pool(trace.store)][previous, action] += 1
                    self._codes[self._pool(trace.store), trace.codes[kind]][previous, action] += 1
        if by_code:
            validation = [trace for trace in traces if trace.split == "validation"]
            self._strength = max(STRENGTHS, key=lambda s: self._likelihood_with(s, validation))

    def _pool(self, store: str) -> str:
        return store if self._by_store else ""

    def _moves(self, trace: Trace) -> list[tuple[int, int]]:
        numbers = [_START, *(NUMBER[action] for action in trace.actions)]
        return list(zip(numbers[self._given :], numbers[self._given + 1 :], strict=False))

    def _likelihood_with(self, strength: float, traces: Sequence[Trace]) -> float:
        self._strength = strength
        return float(self.log_likelihood(traces).sum())

    def probabilities(self, store: str, code: int) -> Floats:
        """float64 [actions + 1, actions]: row = the action before, the last row = none."""
        pool = self._pools[self._pool(store)] if self._pool(store) in self._pools else _counts()
        overall = pool.sum(axis=0) + _RARE
        beneath = pool + overall / overall.sum()
        beneath /= beneath.sum(axis=1, keepdims=True)
        key = self._pool(store), code
        if not self._by_code or key not in self._codes:
            return np.asarray(beneath)
        mixed = self._codes[key] + self._strength * beneath
        return np.asarray(mixed / mixed.sum(axis=1, keepdims=True))

    def log_likelihood(self, traces: Sequence[Trace]) -> Floats:
        """Of each session's actions after the given ones, in nats, float64 [n]."""
        known: dict[tuple[str, int], Floats] = {}
        out = np.zeros(len(traces))
        for i, trace in enumerate(traces):
            key = trace.store, trace.codes[self._kind]
            if key not in known:
                known[key] = np.log(self.probabilities(*key))
            previous, actions = np.array(self._moves(trace)).T
            out[i] = known[key][previous, actions].sum()
        return out

    def walk(
        self,
        traces: Sequence[Trace],
        stores: Mapping[str, StoreModel],
        random: np.random.Generator,
        plans: Sequence[str] | None = None,
    ) -> list[list[str]]:
        """One simulated session beside each, from its first `given` actions on; plans: held to one each."""
        known: dict[tuple[str, int], Floats] = {}
        out = []
        for i, trace in enumerate(traces):
            key = trace.store, trace.codes[self._kind]
            if key not in known:
                known[key] = self.probabilities(*key)
            plan = plans[i] if plans is not None else None
            out.append(_walk(known[key], stores[trace.store], trace.actions[: self._given], random, plan))
        return out


def _counts() -> Floats:
    return np.zeros((len(ACTIONS) + 1, len(ACTIONS)))


def _walk(
    chain: Floats, store: StoreModel, begun: Sequence[str], random: np.random.Generator, plan: str | None
) -> list[str]:
    done, page = list(begun), ENTRANCE
    for action in begun:
        page = page_after(page, action)
    while len(done) < STEP_LIMIT:
        weights = chain[NUMBER[done[-1]] if done else _START]
        weights = weights * [store.allows(page, action) for action in ACTIONS]
        if plan is not None:
            back = held_back(plan, done[len(begun) :])
            weights = weights * [action not in back for action in ACTIONS]
            if not weights.any():  # trapped on a page whose every link is held back
                break
        action = ACTIONS[int(random.choice(len(weights), p=weights / weights.sum()))]
        done.append(action)
        if action == LEAVE:
            break
        page = page_after(page, action)
    return done


def partners(
    traces: Sequence[Trace],
    training: Sequence[Trace],
    kind: Kind,
    random: np.random.Generator,
    *,
    by_store: bool,
) -> list[Trace]:
    """Beside each session a random training session of its code; of any code where none has it.

    by_store: of the same store.
    """
    pools: dict[tuple[str, int | None], list[Trace]] = defaultdict(list)
    for trace in training:
        pool = trace.store if by_store else ""
        pools[pool, trace.codes[kind]].append(trace)
        pools[pool, None].append(trace)
    out = []
    for trace in traces:
        pool = trace.store if by_store else ""
        found = pools.get((pool, trace.codes[kind])) or pools[pool, None]
        out.append(found[int(random.integers(len(found)))])
    return out


def replay(
    traces: Sequence[Trace], beside: Sequence[Trace], stores: Mapping[str, StoreModel], *, given: int = 0
) -> list[list[str]]:
    """What the session beside each did (see partners).

    The first `given` actions are the session's own, the rest the replayed one's; what the store has no link
    to is left out.
    """
    return [
        passable(stores[trace.store], [*trace.actions[:given], *chosen.actions[given:]])
        for trace, chosen in zip(traces, beside, strict=True)
    ]


def planned(
    traces: Sequence[Trace], beside: Sequence[Trace], stores: Mapping[str, StoreModel], *, given: int = 0
) -> list[str]:
    """The plan of what the session beside each did, as far as the store can fulfil it."""
    return [
        plan_line(
            [a for a in chosen.actions[given:] if a not in AIMS or stores[trace.store].offers(a)]
        ).strip()
        for trace, chosen in zip(traces, beside, strict=True)
    ]


def passable(store: StoreModel, actions: Sequence[str]) -> list[str]:
    """The actions without those that the store's pages do not have."""
    done, page = [], ENTRANCE
    for action in actions:
        if store.allows(page, action):
            done.append(action)
            page = page_after(page, action)
    return done
