"""What the issue asks of a persona LLM, and whether it is so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_ASKED: Final[dict[str, tuple[str, float, float, float]]] = {
    # setting -> title, least ARA, least points over a random token, least share of gain
    "in_store": ("in-store", 0.90, 0.25, 0.8),
    "held_out": ("held out", 0.85, 0.20, 0.7),
}
FEWER_FAILED: Final = 0.66
LOOP_TYPE, LOOP_CODE = 0.90, 0.65


def bars(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every bar that the report has figures for: part, what was asked, the figure, whether it is won.

    A bar with a number is won by the figure's value, one that says "above" by the whole interval; "not worse"
    is lost only if the whole interval is worse.
    """
    return [
        {"part": part, "asked": asked, "figure": figure, "won": bool(won)}
        for part, asked, figure, won in _each(report)
    ]


def _each(report: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, float], bool]]:
    for name, (title, least, points, gain) in _ASKED.items():
        if name not in report:
            continue
        part = report[name]
        matched, over = part["ara"]["matched"], part["over_mismatched"]
        yield "a", f"ARA {title} at least {100 * least:.0f} %", matched, matched["value"] >= least
        asked = f"{title}, at least {100 * points:.0f} points over a random token of the store"
        yield "a", asked, over, over["value"] >= points
        chain = part["over_markov_code"]
        yield "a", f"{title}, above Markov a code, whole interval", chain, chain["low"] > 0
        won = part["share_of_gain"]
        yield "a", f"share of gain {title} at least {gain}", won, won["value"] >= gain
        less = part["likelihood"].get("model less", {})
        for chain_name, words in (("markov_store", "a store"), ("markov_code", "a code")):
            if chain_name in less:
                found = less[chain_name]
                asked = f"{title}, log-likelihood not worse than Markov {words}"
                yield "a", asked, found, found["high"] >= 0
    for kind, found in report.get("prediction", {}).items():
        words = {"early": "token of three events", "before": "token of earlier sessions"}[kind]
        for action in ("cart", "purchase"):
            kept = found["spread_kept"][action]["model"]
            yield "b", f"{words}: spread kept, {action}, above 0", kept, kept["low"] > 0
        shuffled = found["model less"]["shuffled token"]
        asked = f"{words}: log-likelihood above a shuffled token's"
        yield "b", asked, shuffled, shuffled["low"] > 0
    if "fewer" in report.get("failed_runs", {}):
        fewer = report["failed_runs"]["fewer"]
        asked = f"{100 * FEWER_FAILED:.0f} % fewer failed runs with the token"
        yield "c", asked, fewer, fewer["value"] >= FEWER_FAILED
    if "loop" in report:
        loop = report["loop"]
        asked = "loop on actions alone: {} at least {:.0f} %"
        yield "e", asked.format("type", 100 * LOOP_TYPE), loop["type"], loop["type"]["value"] >= LOOP_TYPE
        yield "e", asked.format("code", 100 * LOOP_CODE), loop["code"], loop["code"]["value"] >= LOOP_CODE
