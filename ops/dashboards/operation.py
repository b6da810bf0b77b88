"""How the installation does: workers, latency, lag and dead letters, now and over the last half hour."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, Field

from inference.api.access.permissions import ReadsOperation
from inference.api.problems import documented
from inference.api.state import now_ms
from ops.dashboards.quantile import histogram_quantile
from ops.dashboards.settings import DashboardSettings
from ops.dashboards.workers import Counted, Scrape, scrape_all

_HISTORY_S: Final = 1_800.0
_RECENT_S: Final = 60.0


class Moment(BaseModel):
    """Between one reading and the one before. Latencies are null where nothing was tagged."""

    at: int = Field(description="ms since the epoch, UTC")
    events_per_s: float
    refused_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    lag: int | None = Field(description="Events not yet folded; null while no worker answers.")


class Operation(BaseModel):
    """Of all stores together; every number is a sum over the workers that answer.

    p50_ms and p99_ms are event-to-tag (from a record's CreateTime to its assignment) over the last minute.
    """

    named: bool = Field(description="Whether this process knows the address of any worker.")
    workers: int = Field(description="Workers known by address.")
    answering: int
    waiting: int = Field(description="Workers that wait for the store, Kafka or the encoder.")
    degraded: int = Field(description="Workers that encode in process, because Triton does not answer.")
    partitions: int
    codebook_versions: dict[str, int] = Field(description="Version -> how many workers answer with it.")
    events_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    lag: int | None
    dead_letters: dict[str, int] = Field(description="By reason, since the workers that answer began.")
    history: list[Moment] = Field(description="The oldest first, half an hour at most.")


class Readings:
    """Keeps what was read, within bounds. Of the event loop's thread."""

    def __init__(self, settings: DashboardSettings) -> None:
        self._settings = settings
        self._counted: dict[str, Counted] = {}
        self._now: dict[str, Scrape | None] = {}
        self._at: float | None = None
        self._recent: deque[tuple[float, list[Counted]]] = deque(
            maxlen=round(_RECENT_S / settings.every_s) or 1
        )
        self._history: deque[Moment] = deque(maxlen=round(_HISTORY_S / settings.every_s))

    def add(self, scrapes: dict[str, Scrape | None], at: float) -> None:
        """Take in a reading of all workers; at: s, monotonic."""
        alive = {address: scrape for address, scrape in scrapes.items() if scrape is not None}
        new = [
            scrape.counted.since(self._counted.get(address))
            for address, scrape in alive.items()
            if address in self._counted
        ]
        if self._at is not None:
            seconds = at - self._at
            self._recent.append((seconds, new))
            self._history.append(
                Moment(
                    at=now_ms(),
                    events_per_s=sum(part.events for part in new) / seconds,
                    refused_per_s=sum(sum(part.refused.values()) for part in new) / seconds,
                    p50_ms=_quantile_ms(0.5, new),
                    p99_ms=_quantile_ms(0.99, new),
                    lag=sum(scrape.lag for scrape in alive.values()) if alive else None,
                )
            )
        self._at, self._now = at, scrapes
        # A worker that is away for a moment goes on counting from where it was.
        self._counted = {a: self._counted[a] for a in scrapes if a in self._counted} | {
            address: scrape.counted for address, scrape in alive.items()
        }

    def summary(self) -> Operation:
        """What the page shows."""
        alive = [scrape for scrape in self._now.values() if scrape is not None]
        parts = [part for _, new in self._recent for part in new]
        seconds = sum(seconds for seconds, _ in self._recent)
        refused: Counter[str] = Counter()
        for scrape in alive:
            refused.update({reason: int(n) for reason, n in scrape.counted.refused.items() if n})
        return Operation(
            named=bool(self._settings.workers),
            workers=len(self._now),
            answering=len(alive),
            waiting=sum(scrape.waiting for scrape in alive),
            degraded=sum(scrape.degraded for scrape in alive),
            partitions=sum(scrape.partitions for scrape in alive),
            codebook_versions=Counter(version for scrape in alive for version in scrape.codebooks),
            events_per_s=sum(part.events for part in parts) / seconds if seconds else 0.0,
            p50_ms=_quantile_ms(0.5, parts),
            p99_ms=_quantile_ms(0.99, parts),
            lag=sum(scrape.lag for scrape in alive) if alive else None,
            dead_letters=dict(refused.most_common()),
            history=list(self._history),
        )

    async def keep(self) -> None:
        """Read the workers again and again."""
        while True:
            self.add(await asyncio.to_thread(scrape_all, self._settings.workers), time.monotonic())
            await asyncio.sleep(self._settings.every_s)


def _quantile_ms(q: float, parts: Iterable[Counted]) -> float | None:
    tagged: dict[float, float] = defaultdict(float)
    for part in parts:
        for bound, count in part.tagged.items():
            tagged[bound] += count
    seconds = histogram_quantile(q, sorted(tagged.items()))
    return None if seconds is None else seconds * 1000


def operation_router(settings: DashboardSettings) -> APIRouter:
    """GET /v1/operation, and the task that reads the workers meanwhile."""
    readings = Readings(settings)

    @asynccontextmanager
    async def reading(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(readings.keep()) if settings.workers else None
        yield
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    router = APIRouter(tags=["operation"], lifespan=reading)

    @router.get("/v1/operation", responses=documented(401, 403, 429, 503))
    async def operation(request: Request, key: ReadsOperation) -> Operation:
        """How the installation does, now and lately: workers, latency, lag, dead letters, codebook."""
        return readings.summary()

    return router
