"""How often a candidate agrees with the champion on live traffic, as the workers' metrics count it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import httpx
import structlog
from prometheus_client.parser import text_string_to_metric_families

log = structlog.get_logger()

_POLL_S: Final = 1.0
_COUNTS: Final = {
    "compared": "simpersona_shadow_compared_total",
    "same_code": "simpersona_shadow_same_code_total",
    "same_type": "simpersona_shadow_same_type_total",
}


def read_agreement(urls: Sequence[str], candidate: str) -> dict[str, float] | None:
    """Sums over workers of what was compared with this candidate; None where no worker answers."""
    sums = dict.fromkeys(_COUNTS, 0.0)
    answered = False
    for url in urls:
        try:
            text = httpx.get(url, timeout=5).raise_for_status().text
        except httpx.HTTPError as error:
            log.warning("worker_metrics_away", url=url, error=str(error))
            continue
        answered = True
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for what, name in _COUNTS.items():
                    if sample.name == name and sample.labels.get("candidate") == candidate:
                        sums[what] += sample.value
    return sums if answered else None


def wait_for_agreement(urls: Sequence[str], candidate: str, for_s: float, states: int) -> dict[str, Any]:
    """Wait until workers have compared so many states, or so long; says what was seen, or why nothing was."""
    if not urls:
        return {"skipped": "no worker's metrics are named (SIMPERSONA_RETRAIN_METRICS_URLS)"}
    deadline = time.monotonic() + for_s
    while True:
        sums = read_agreement(urls, candidate)
        if sums is None:
            return {"skipped": f"no worker answers at {', '.join(urls)}"}
        if sums["compared"] >= states or time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
    compared = sums["compared"]
    if not compared:
        return {"skipped": f"workers compared nothing within {for_s:g} s: there was no traffic"}
    return {
        "compared": int(compared),
        "same_code": round(sums["same_code"] / compared, 4),
        "same_type": round(sums["same_type"] / compared, 4),
    }
