"""Part d of the issue: do simulated sessions look like real ones, as a population?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from training.evaluation.measures import jensen_shannon
from training.persona_llm.storefront.actions import ACTIONS, ADD, NUMBER, Step

Floats = NDArray[np.float64]
Sessions = Sequence[Sequence[str]]

_START: Final = len(ACTIONS)


def distribution(
    real: Sessions, simulated: Sessions, known: Collection[tuple[str, ...]], codes: Sequence[int]
) -> dict[str, float]:
    """The measures below, of simulated sessions beside the real ones; known: the training sessions; codes: of
    each simulated session.

    The measures of replayed or of other real sessions say how near one can come.
    """
    return {
        "length": float(np.mean([len(s) for s in simulated])),
        "length_distance": float(wasserstein_distance([len(s) for s in real], [len(s) for s in simulated])),
        "pages": pages_divergence(real, simulated),
        "transitions": transition_distance(real, simulated),
        "novelty": novelty(simulated, known),
        "between_codes": between_codes(simulated, codes),
    }


def counts_of(sessions: Sessions) -> Floats:
    """How often each action was done, float64 [n, actions]."""
    out = np.zeros((len(sessions), len(ACTIONS)))
    for i, session in enumerate(sessions):
        np.add.at(out[i], [NUMBER[action] for action in session], 1)
    return out


def pages_divergence(real: Sessions, simulated: Sessions) -> float:
    """Jensen-Shannon divergence (nats) of the shares of actions."""
    p, q = (counts_of(sessions).sum(axis=0) for sessions in (real, simulated))
    return float(jensen_shannon((p / p.sum())[None], (q / q.sum())[None])[0])


def transition_distance(real: Sessions, simulated: Sessions) -> float:
    """Sum over p of the real share of p times half the sum over a of |P(a | p) real - simulated|: the share
    of moves that would have to be others. 1 for a p that is never met in simulation."""
    p, q = _moves(real), _moves(simulated)
    share = p.sum(axis=1) / p.sum()
    rows = [counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) for counts in (p, q)]
    apart = np.where(q.sum(axis=1) > 0, np.abs(rows[0] - rows[1]).sum(axis=1) / 2, 1.0)
    return float(share @ apart)


def _moves(sessions: Sessions) -> Floats:
    out = np.zeros((_START + 1, _START))
    for session in sessions:
        numbers = [NUMBER[action] for action in session]
        np.add.at(out, ([_START, *numbers[:-1]], numbers), 1)
    return out


def novelty(simulated: Sessions, known: Collection[tuple[str, ...]]) -> float:
    """Share of simulated sessions whose actions no training session has in that order."""
    return float(np.mean([tuple(session) not in known for session in simulated]))


def between_codes(sessions: Sessions, codes: Sequence[int]) -> float:
    """Share of the variance of log counts of actions that lies between codes (eta squared), codes with two
    sessions or more, degrees of freedom taken off (omega squared): 0 where everybody acts as one average
    buyer does."""
    rows = np.log1p(counts_of(sessions))
    _, group, size = np.unique(np.asarray(codes), return_inverse=True, return_counts=True)
    kept = size[group] >= 2
    rows, group = rows[kept], np.unique(group[kept], return_inverse=True)[1]
    if len(rows) == 0:
        return float("nan")
    groups = int(group.max()) + 1
    if len(rows) <= groups or groups < 2:
        return float("nan")
    sums = np.zeros((groups, rows.shape[1]))
    np.add.at(sums, group, rows)
    means = sums / np.bincount(group)[:, None]
    inside = ((rows - means[group]) ** 2).sum()
    total = ((rows - rows.mean(axis=0)) ** 2).sum()
    noise = inside / (len(rows) - groups)
    return float((total - inside - (groups - 1) * noise) / (total + noise)) if total > 0 else float("nan")


def times_to_cart(sessions: Sequence[Sequence[Step]]) -> Floats:
    """Seconds from the first action to the first cart, of the sessions with one, float64 [k]."""
    found = []
    for steps in sessions:
        spent = 0
        for step in steps:
            if step.action == ADD:
                found.append(spent / 1000)
                break
            spent += step.dwell_ms
    return np.array(found, np.float64)
