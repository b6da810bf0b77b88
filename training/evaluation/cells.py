"""Figures as people read them: titles, cells, and the digits that are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

Figures = Mapping[str, Any]
PERCENT: Final = ("purity", "macro_recall", "incoherence", "fifth")
TITLES: Final = {
    "ch16": "CH on the 16",
    "ch16_standard": "CH on the 16, standard-scaled",
    "ch403_standard": "CH on the 403, standard-scaled",
    "purity": "purity %",
    "macro_recall": "macro recall %",
    "incoherence_engagement": "incoherence, engagement %",
    "incoherence_exploration": "incoherence, exploration %",
    "incoherence_purchase": "incoherence, purchase %",
    "fifth_engagement": "a fifth at both ends, engagement %",
    "fifth_exploration": "a fifth at both ends, exploration %",
    "js": "JS",
    "d_engagement": "d, engagement",
    "d_exploration": "d, exploration",
    "d_purchase": "d, purchase",
    "d_exact_engagement": "d of exact thirds, engagement",
    "d_exact_exploration": "d of exact thirds, exploration",
    "d_exact_purchase": "d of exact thirds, purchase",
    "perplexity": "perplexity",
}


def cell(name: str, figure: Figures) -> str:
    """Mean [interval] (lowest to highest seed), in the units of the measure's title."""
    if figure["mean"] is None:
        return "-"
    factor = 100.0 if name.startswith(PERCENT) else 1.0
    text = _number(name, factor * figure["mean"])
    if figure["low"] is not None:
        text += f" [{_number(name, factor * figure['low'])}, {_number(name, factor * figure['high'])}]"
    each = [factor * seed for seed in figure["seeds"] if seed is not None]
    if len(each) > 1:
        text += f" ({_number(name, min(each))} to {_number(name, max(each))})"
    return text


def _number(name: str, value: float) -> str:
    digits = 1
    for start, wanted in (("js", 4), ("d_", 2)):
        if name.startswith(start):
            digits = wanted
    return f"{value:.{digits}f}"


def rounded(value: Any) -> Any:
    """Figures as they are written: four digits, and null where there is none (JSON has no NaN)."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value
