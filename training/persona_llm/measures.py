"""The measures of the agents, each with its formula; weights are those of bootstrap.py, one per buyer.

A measure takes `weights` float64 [b, m], one row a sample of the m buyers, and gives float64 [b, ...]. All
sessions of a buyer are drawn together. An agent stands beside each judged session, in its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from training.evaluation.measures import group_sums
from training.persona_llm.storefront.actions import ADD, PURCHASE
from training.persona_llm.traces.goals import OUTCOMES, Outcome
from training.persona_llm.traces.traces import Trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST: Final = 10
"""A cell of a store and a stratum with fewer judged sessions does not count."""


class Acted(NamedTuple):
    """What was done beside each of n judged sessions, 0 to 1: cart float64 [n], purchase float64 [n]."""

    cart: Floats
    purchase: Floats

    @classmethod
    def of(cls, sessions: Sequence[Sequence[str]]) -> Self:
        """From action sequences: 1 where there is any."""
        carts = [ADD in actions for actions in sessions]
        return cls(np.array(carts, np.float64), np.array([PURCHASE in a for a in sessions], np.float64))


class Judged(NamedTuple):
    """The judged sessions (n) and where they belong.

    stratum: of the buyer, the furthest that any of their judged sessions went; a token says the buyer, not
    one session. cell int64 [n]: a place among (store, stratum) pairs, -1 where there are fewer than LEAST
    sessions; buyer int64 [n]: places 0 .. m - 1; store int64 [n] and store_of_cell: places in stores.
    """

    traces: list[Trace]
    stores: tuple[str, ...]
    store: Ints
    buyer: Ints
    buyers: int
    stratum: list[Outcome]
    cell: Ints
    cells: list[tuple[str, Outcome]]
    real: Acted

    @classmethod
    def of(cls, traces: Sequence[Trace]) -> Self:
        """Judge these sessions."""
        traces = list(traces)
        stores = tuple(sorted({trace.store for trace in traces}))
        furthest = strata_of(traces)
        stratum = [furthest[trace.store, trace.buyer] for trace in traces]
        pairs = [(trace.store, stratum[i]) for i, trace in enumerate(traces)]
        cells = [pair for pair in sorted(set(pairs)) if pairs.count(pair) >= LEAST]
        buyers = {key: place for place, key in enumerate(furthest)}
        return cls(
            traces=traces,
            stores=stores,
            store=np.array([stores.index(trace.store) for trace in traces], np.int64),
            buyer=np.array([buyers[trace.store, trace.buyer] for trace in traces], np.int64),
            buyers=len(buyers),
            stratum=stratum,
            cell=np.array([cells.index(pair) if pair in cells else -1 for pair in pairs], np.int64),
            cells=cells,
            real=Acted.of([trace.actions for trace in traces]),
        )

    @property
    def store_of_buyer(self) -> Ints:
        """int64 [m]: places in stores."""
        out = np.zeros(self.buyers, np.int64)
        out[self.buyer] = self.store
        return out


def strata_of(traces: Sequence[Trace]) -> dict[tuple[str, str], Outcome]:
    """How far each buyer went in any of the sessions: (store, buyer) -> outcome."""
    furthest: dict[tuple[str, str], Outcome] = {}
    for trace in traces:
        key = trace.store, trace.buyer
        furthest[key] = min(furthest.get(key, trace.outcome), trace.outcome, key=OUTCOMES.index)
    return furthest


def alignment(judged: Judged, acted: Acted, weights: Floats) -> Floats:
    """ARA of each cell, float64 [b, cells] (paper.md, How the agents are judged).

    ATC_align = 1 - |ATC_real - ATC_agent|, with PUR_align likewise for purchases;
    ARA = (ATC_align + PUR_align) / 2. A rate is the share of the cell's sessions with such an action.
    NaN where no session of a cell was drawn.
    """
    kept = judged.cell >= 0
    cell, drawn = judged.cell[kept], weights[:, judged.buyer[kept]]
    apart = np.stack([a - r for a, r in zip(acted, judged.real, strict=True)], axis=1)[kept]
    size = len(judged.cells)
    mass = group_sums(cell, drawn, size)
    with np.errstate(invalid="ignore"):
        means = group_sums(cell, drawn, size, apart) / np.where(mass > 0, mass, np.nan)[:, :, None]
    return np.asarray(1 - np.abs(means).mean(axis=2))


def ara_by_store(judged: Judged, acted: Acted, weights: Floats) -> Floats:
    """Mean over a store's cells, float64 [b, stores]; NaN for a store without any."""
    by_cell = alignment(judged, acted, weights)
    of = np.array([judged.stores.index(store) for store, _ in judged.cells], np.int64)
    return np.stack([mean_of_known(by_cell[:, of == s]) for s in range(len(judged.stores))], axis=1)


def ara(judged: Judged, acted: Acted, weights: Floats) -> Floats:
    """Mean over strata, then over stores that have any cell, float64 [b]."""
    return mean_of_known(ara_by_store(judged, acted, weights))


def mean_of_known(values: Floats) -> Floats:
    """Mean of each row [b, k] over what is a number in it; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def share_of_gain(matched: Floats, random: Floats, replay: Floats) -> Floats:
    """(matched - random) / (replay - random): of what replaying a training session of the code wins over a
    random token, how much the agents win; NaN where there is nothing to win."""
    to_win = np.where(replay == random, np.nan, replay - random)
    return np.asarray((matched - random) / to_win)


def spread_kept(groups: Ints, store_of_group: Ints, real: Floats, agent: Floats, weights: Floats) -> Floats:
    """Slope of the agents' rates on the real rates over groups of sessions, within stores, float64 [b].

    groups int64 [n], store_of_group int64 [g]; real and agent float64 [n], 0 to 1; weights float64 [b, n].
    With r_g and a_g the rates of a group, w_g its weight, and r_s and a_s those of its store:
    sum w_g (r_g - r_s)(a_g - a_s) / sum w_g (r_g - r_s)^2. 1: as far apart as the real ones; 0: all alike.
    NaN where the real rates do not differ, or there is no group.
    """
    if len(store_of_group) == 0:
        return np.full(len(weights), np.nan)
    size, stores = len(store_of_group), int(store_of_group.max()) + 1
    mass = group_sums(groups, weights, size)
    sums = group_sums(groups, weights, size, np.stack([real, agent], axis=1))
    of_store = np.eye(stores)[store_of_group]
    store_mass = np.maximum(mass @ of_store, 1e-12)
    centre = np.einsum("bgd,gs->bsd", sums, of_store) / store_mass[:, :, None]
    rates = sums / np.maximum(mass, 1e-12)[:, :, None] - centre[:, store_of_group]
    spread = (mass * rates[:, :, 0] ** 2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (mass * rates[:, :, 0] * rates[:, :, 1]).sum(axis=1) / spread
    return np.asarray(np.where(spread > 1e-9, slope, np.nan))


def by_buyer(judged: Judged, values: Floats, weights: Floats) -> Floats:
    """Mean of a value a session, float64 [b]."""
    drawn = weights[:, judged.buyer]
    return np.asarray(drawn @ values / drawn.sum(axis=1))
