"""Gates: what a candidate must show against the champion, on the same rows, before it may answer.

A gate bounds how much worse than the champion a figure may be, not how good it must be: levels depend
on the stores, and both encoders see the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings
from training.lifecycle.gate_figures import Figures


class GateSettings(Settings):
    """How much worse than the champion a candidate may be."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_GATE_")

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


class Verdict(NamedTuple):
    """One gate: the two figures, the worst that the candidate may have, and whether it passed."""

    gate: str
    champion: float
    candidate: float
    bound: float
    passed: bool


def judge(champion: Figures, candidate: Figures, settings: GateSettings) -> list[Verdict]:
    """Hold the candidate's figures against the champion's.

    Incoherence is not known where no code has enough buyers. Where the champion's is not, there is nothing to
    hold the candidate against, and the gate passes; a candidate that alone cannot show its own fails, as does
    any other figure that is not a number.
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
        passed |= gate == "incoherence" and math.isnan(theirs)
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
