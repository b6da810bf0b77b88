"""Figures as cells of the report's tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
    "auc_cart": "AUC, later cart",
    "auc_purchase": "AUC, later purchase",
    "d_rest_purchase": "d of the rest, purchase",
    "d_rest_engagement": "d of the rest, engagement",
    "d_rest_exploration": "d of the rest, exploration",
    "type_kappa": "kappa, type at session's end",
}


def header(*columns: str) -> str:
    """The first two lines of a table."""
    return f"| {' | '.join(columns)} |\n" + "|---" * len(columns) + "|"


def table(figures: Figures, names: Sequence[str]) -> Iterator[str]:
    """One row a contender, one column a measure that any of them has; ours in bold."""
    names = [name for name in names if any(name in measured for measured in figures.values())]
    yield header("", *(TITLES[name] for name in names))
    for who, measured in figures.items():
        cells = (cell(name, measured[name]) if name in measured else "" for name in names)
        yield f"| {'**ours**' if who == 'model' else who} | {' | '.join(cells)} |"
    yield ""


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
    for start, wanted in (("js", 4), ("auc", 3), ("type_kappa", 3), ("d_", 2)):
        if name.startswith(start):
            digits = wanted
    return f"{value:.{digits}f}"


def seeds_cell(values: Sequence[float]) -> str:
    """Mean (lowest to highest seed)."""
    mean = sum(values) / len(values)
    digits = 3 if mean < 1 else 1
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{spread}"


def rounded(value: Any) -> Any:
    """Figures as they are written: four digits, and null where there is none (JSON has no NaN)."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value
