"""Gates: what a candidate must show against the champion, on the same rows, before it may answer.

A gate bounds how much worse than the champion a figure may be, not how good it must be: levels depend
on the stores, and both encoders see the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

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
    kappa_loss: float = Field(
        0.1, description="largest fall of the agreement of types with those at the end of the session", ge=0
    )
    ece_rise: float = Field(0.03, description="largest rise of the calibration error of probabilities", ge=0)
    auc_loss: float = Field(
        0.05, description="largest fall of the AUC with which codes say who gets deeper into the funnel", ge=0
    )
    lift_loss: float = Field(
        0.25, description="largest share of the champion's lift at 10 % that may be lost", ge=0, le=1
    )


_MAY_LACK: Final = ("incoherence", "kappa", "ece", "auc", "lift")


class Verdict(NamedTuple):
    """One gate: the two figures, the worst that the candidate may have, and whether it passed.

    at_worst: what is held against the bound, where that is not the candidate's figure itself but the worse
    end of its 95 % interval beside the champion's.
    """

    gate: str
    champion: float
    candidate: float
    bound: float
    passed: bool
    at_worst: float | None = None


def judge(champion: Figures, candidate: Figures, settings: GateSettings) -> list[Verdict]:
    """Hold the candidate's figures against the champion's.

    Some figures may not be known (_MAY_LACK): incoherence where no code has enough buyers, what is foreseen
    where too few buyers get deeper. Where the champion's is not known, there is nothing to hold the candidate
    against, and the gate passes; a candidate that alone cannot show its own fails, as does any other figure
    that is not a number. What is foreseen is judged by the worse end of the paired interval, never by the
    mean: few buyers show nothing, and what shows nothing does not pass.
    """
    at_least = {
        "purity": champion.purity - settings.purity_loss,
        "perplexity": champion.perplexity * (1 - settings.perplexity_loss),
        "kappa": champion.kappa - settings.kappa_loss,
        "auc": champion.auc - settings.auc_loss,
        "lift": champion.lift * (1 - settings.lift_loss),
    }
    at_most = {
        "incoherence": champion.incoherence + settings.incoherence_rise,
        "js": champion.js + settings.js_rise,
        "changed_codes": settings.changed_codes,
        "latency_ms": champion.latency_ms * settings.latency_ratio,
        "ece": champion.ece + settings.ece_rise,
    }
    verdicts = []
    for gate in (*at_least, *at_most):
        ours, theirs = getattr(candidate, gate), getattr(champion, gate)
        low, high = candidate.apart.get(gate, (math.nan, math.nan))
        if gate in at_least:
            bound, at_worst = at_least[gate], theirs + low
        else:
            bound, at_worst = at_most[gate], theirs + high
        judged = at_worst if gate in candidate.apart else ours
        passed = judged >= bound if gate in at_least else judged <= bound
        passed |= gate in _MAY_LACK and math.isnan(theirs)
        shown = at_worst if gate in candidate.apart else None
        verdicts.append(Verdict(gate, theirs, ours, bound, bool(passed), shown))
    return verdicts


def refusal(verdicts: Sequence[Verdict]) -> str | None:
    """The failing gates in one line, or None."""
    failed = [
        f"{it.gate} {it.candidate:.4g}{_at_worst(it)} (champion {it.champion:.4g}, bound {it.bound:.4g})"
        for it in verdicts
        if not it.passed
    ]
    return "; ".join(failed) or None


def _at_worst(verdict: Verdict) -> str:
    return "" if verdict.at_worst is None else f", at worst {verdict.at_worst:.4g}"


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """The gates as lines of text, for a terminal and for the registry."""
    rows = [("gate", "champion", "candidate", "at worst", "bound", "")]
    for it in verdicts:
        worst = it.candidate if it.at_worst is None else it.at_worst
        numbers = [f"{value:.4g}" for value in (it.champion, it.candidate, worst, it.bound)]
        rows.append((it.gate, *numbers, "passed" if it.passed else "FAILED"))  # type: ignore[arg-type]
    return "\n".join(f"{a:<14}{b:>10}{c:>11}{d:>10}{e:>10}  {f}".rstrip() for a, b, c, d, e, f in rows)
