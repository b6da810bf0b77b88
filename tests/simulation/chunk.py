"""Some histories in a row. Not in __main__, which another process cannot import."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from tests.simulation.history import History, run
from tests.simulation.steps import draw


@contextmanager
def silence() -> Iterator[None]:
    """Workers log every fault that they survive: not here."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


@silence()
def live_through(chunk: tuple[int, int]) -> tuple[tuple[int, int], dict[str, Any]]:
    """Live through histories (first seed, how many): the chunk again, seconds, what happened, bad seeds."""
    run(draw(0))  # compiled code is loaded before the clock starts
    began, counts, bad = time.perf_counter(), Counter[str](), []
    for seed in range(chunk[0], chunk[0] + chunk[1]):
        history = History(draw(seed))
        if history.live() is not None:
            bad.append(seed)
        counts.update(history.counts)
    return chunk, {"seconds": time.perf_counter() - began, "counts": dict(counts), "bad": bad}
