"""Gates: what a candidate must show against the champion, on the same rows, before it may answer.

A gate bounds how much worse than the champion a figure may be, not how good it must be: levels depend
on the stores, and both encoders see the same ones.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from inference.bundle import Bundle
from inference.graph import open_graph, run_graph

_LATENCY_ROWS: Final = 256  # a micro-batch of a busy worker
_LATENCY_ROUNDS: Final = 60
_PARITY_ROWS: Final = 4096
_BATCHES: Final = (1, 7, 256)


class GateSettings(BaseSettings):
    """How much worse than the champion a candidate may be."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_GATE_", frozen=True)

    purity_loss: float = Field(0.02, description="largest fall of funnel purity", ge=0)
    incoherence_rise: float = Field(
        0.02, description="largest rise of the share of codes that mix opposite ends of an axis", ge=0
    )
    js_rise: float = Field(
        0.02, description="largest rise of the divergence of the funnel that the codes rebuild", ge=0
    )
    perplexity_loss: float = Field(
        0.2, description="largest share of the champion's code perplexity that may be lost", ge=0, le=1
    )
    changed_codes: float = Field(
        0.001, description="largest share of rows whose code depends on runtime or batch size", ge=0
    )
    latency_ratio: float = Field(1.5, description="longest time of a batch, the champion's being 1", gt=0)


class Figures(NamedTuple):
    """What the gates look at, of one encoder: shares, except perplexity (codes) and latency (ms a batch
    of 256 rows, one thread). NaN: the rows cannot say."""

    purity: float
    incoherence: float
    js: float
    perplexity: float
    changed_codes: float
    latency_ms: float


class Verdict(NamedTuple):
    """One gate: the two figures, the worst that the candidate may have, and whether it passed."""

    gate: str
    champion: float
    candidate: float
    bound: float
    passed: bool


def judge(champion: Figures, candidate: Figures, settings: GateSettings) -> list[Verdict]:
    """Hold the candidate's figures against the champion's.

    A figure that the candidate lacks and the champion has fails; one that both lack says nothing.
    """
    at_least = {
        "purity": champion.purity - settings.purity_loss,
        "perplexity": champion.perplexity * (1 - settings.perplexity_loss),
    }
    at_most = {
        "incoherence": champion.incoherence + settings.incoherence_rise,
        "js": champion.js + settings.js_rise,
        "changed_codes": settings.changed_codes,
        "latency_ms": champion.latency_ms * settings.latency_ratio,
    }
    verdicts = []
    for gate in Figures._fields:
        ours, theirs = getattr(candidate, gate), getattr(champion, gate)
        bound = at_least.get(gate, at_most.get(gate, math.nan))
        passed = ours >= bound if gate in at_least else ours <= bound
        passed |= math.isnan(ours) and math.isnan(theirs)
        verdicts.append(Verdict(gate, theirs, ours, bound, bool(passed)))
    return verdicts


def refusal(verdicts: Sequence[Verdict]) -> str | None:
    """The failing gates in one line, or None."""
    failed = [
        f"{it.gate} {it.candidate:.4g} (champion {it.champion:.4g}, bound {it.bound:.4g})"
        for it in verdicts
        if not it.passed
    ]
    return "; ".join(failed) or None


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """The gates as lines of text, for a terminal and for the registry."""
    rows = [("gate", "champion", "candidate", "bound", "")]
    for it in verdicts:
        numbers = (f"{value:.4g}" for value in (it.champion, it.candidate, it.bound))
        rows.append((it.gate, *numbers, "passed" if it.passed else "FAILED"))  # type: ignore[arg-type]
    return "\n".join(f"{a:<14}{b:>10}{c:>11}{d:>10}  {e}".rstrip() for a, b, c, d, e in rows)


def latencies_ms(bundles: Sequence[Bundle], vectors: NDArray[np.float32]) -> list[float]:
    """Fastest time of a batch for each bundle, in turns, so that a busy machine slows all alike."""
    rows = np.resize(vectors, (_LATENCY_ROWS, vectors.shape[1]))
    sessions = [open_graph(bundle.model, threads=1) for bundle in bundles]
    best = [math.inf] * len(bundles)
    for _ in range(_LATENCY_ROUNDS):
        for i, session in enumerate(sessions):
            started = time.perf_counter()
            run_graph(session, rows)
            best[i] = min(best[i], (time.perf_counter() - started) * 1000)
    return best


def changed_codes(bundle: Bundle, recorded: dict[str, Any], vectors: NDArray[np.float32]) -> float:
    """Share of rows whose code was another in torch, as evaluation.json recorded it (`parity`), or is
    another here when the batch has another size; the larger of both."""
    rows = vectors[:_PARITY_ROWS]
    session = open_graph(bundle.model, threads=1)
    codes = run_graph(session, rows).code
    changed = np.zeros(len(rows), dtype=np.bool_)
    for size in _BATCHES:
        parts = [run_graph(session, rows[i : i + size]).code for i in range(0, len(rows), size)]
        changed |= np.concatenate(parts) != codes
    parity = recorded.get("parity")
    ties = len(parity["ties"]) / parity["rows"] if parity else 1.0  # nothing proves a single row
    return max(float(changed.mean()), ties)
