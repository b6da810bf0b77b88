"""A store's drift for the page: each feature against the reference, window by window, and the alerts."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, Field

from feature_store.online.intake import IntakeCounts
from inference.api.access.keys import ALL_STORES, KeyRecord, Scope
from inference.api.access.permissions import allowed
from inference.api.bounds.costs import DRIFT
from inference.api.problems import documented
from inference.api.requests.ids import Store
from inference.api.served_model import ServedModel
from inference.api.state import State, state_of
from inference.bundles.reference import SPANS_MS, Reference
from inference.counts.profile import Counts, buyers
from inference.counts.windows import WindowReader, WindowSettings
from ops.drift.alerts import ALL_STORES as EVERY_STORE
from ops.drift.alerts import BOOK, Alert, AlertBook
from ops.drift.measures import Shift, compare, health
from ops.drift.settings import DriftSettings
from ops.drift.signals import Signals
from ops.drift.windows import SlidingWindows

_SPAN_MS: Final = SPANS_MS[0]
_POINTS: Final = 70
"""Windows of history. SlidingWindows holds six hours, 72 windows by default, and a span takes in three."""
_STORES: Final = 100
_FRESH_S: Final = 2.0
ReadsDrift = Annotated[KeyRecord, allowed(Scope.PERSONAS_READ, DRIFT)]


class FeatureShift(BaseModel):
    """One feature of the store's last span. psi is what exceeds chance; moved: large, and no chance."""

    feature: str = Field(examples=["codes"])
    votes: int
    psi: float
    js_bits: float
    q: float
    moved: bool


class DriftPoint(BaseModel):
    """The span that ends with a window: psi of each feature beyond what chance gives, 0 or more."""

    until: int = Field(description="End of the window, ms since the epoch, UTC, event time.")
    buyers: int = Field(description="Votes: a buyer counts once in each window.")
    psi: dict[str, float]


class RaisedAlert(BaseModel):
    """An alert of the drift watch. about: a feature, or a signal."""

    store: str = Field(description="`*`: all stores together, for operators.")
    about: str
    kind: str
    since: int = Field(description="ms since the epoch, UTC, event time")
    retrain_requested: bool
    sentence: str | None = Field(description="A signal in words; null for a feature.")


class Found(BaseModel):
    """What the counts of a store say; empty before the first window of event time is complete."""

    shares: dict[str, float] = Field(
        default={},
        description="Of what arrived in the span, by signal: " + ", ".join(DriftSettings.signals()) + ".",
    )
    features: list[FeatureShift] = Field(default=[], description="The largest shift first.")
    history: list[DriftPoint] = Field(default=[], description="The oldest first.")


class StoreDrift(BaseModel):
    """Live traffic of a store against the reference of the bundle that answers."""

    store: str
    codebook_version: str
    compared: bool = Field(description="False for a bundle of an older release, which has no reference.")
    window_s: float
    span_s: float = Field(description="Event time that a comparison covers.")
    psi_threshold: float = Field(description="From here on a shift counts as large.")
    least_votes: int = Field(description="A feature with fewer votes in the span is not judged.")
    found: Found
    watched_until: int | None = Field(description="How far `simpersona drift` has looked; null: never.")
    alerts: list[RaisedAlert]


class History:
    """Shifts of stores under one codebook version. Safe to share between threads; every method blocks.

    A span is compared again only when its counts have changed: late events come for a while.
    """

    def __init__(self, windows: SlidingWindows, reference: Reference, settings: DriftSettings) -> None:
        self._windows, self._reference, self._settings = windows, reference, settings
        self._known: OrderedDict[str, dict[int, tuple[bytes, DriftPoint]]] = OrderedDict()
        self._lock = threading.Lock()
        self._newest: int | None = None
        self._read_at = -_FRESH_S

    def of(self, store: str) -> Found:
        """A store's last span, and how it came to be.

        Raises:
            OnlineStoreError, ProfileError: something cannot be read.
        """
        with self._lock:
            newest = self._read()
            if newest is None:
                return Found()
            points = self._points(store, newest)
            counts = self._windows.of_store(newest, _SPAN_MS, store)
            store_health = health(counts, self._reference.of(store), self._settings.signals())
            features = [self._feature_shift(shift) for shift in self._shifts(store, counts)]
            return Found(
                shares={name: round(share.value, 4) for name, share in store_health.shares.items()},
                features=sorted(features, key=lambda one: -one.psi),
                history=points,
            )

    def _read(self) -> int | None:
        if time.monotonic() - self._read_at >= _FRESH_S:
            self._newest = self._windows.newest_complete()
            if self._newest is not None:
                self._windows.read_up_to(self._newest)
            self._read_at = time.monotonic()
        return self._newest

    def _points(self, store: str, newest: int) -> list[DriftPoint]:
        known = self._known.setdefault(store, {})
        self._known.move_to_end(store)
        if len(self._known) > _STORES:
            self._known.popitem(last=False)
        shown = range(newest + 1 - _POINTS, newest + 1)
        self._known[store] = points = {
            window: self._point(store, window, known.get(window)) for window in shown
        }
        return [point for _, point in points.values() if point.buyers]

    def _point(
        self, store: str, window: int, known: tuple[bytes, DriftPoint] | None
    ) -> tuple[bytes, DriftPoint]:
        counts = self._windows.of_store(window, _SPAN_MS, store)
        digest = hashlib.blake2b(counts.tobytes(), digest_size=16).digest()
        if known is not None and known[0] == digest:
            return known
        return digest, DriftPoint(
            until=(window + 1) * self._windows.length_ms,
            buyers=buyers(counts),
            psi={shift.feature: _excess(shift) for shift in self._shifts(store, counts)},
        )

    def _shifts(self, store: str, counts: Counts) -> list[Shift]:
        return compare({store: counts}, self._reference, _SPAN_MS, self._settings.least_votes)

    def _feature_shift(self, shift: Shift) -> FeatureShift:
        return FeatureShift(
            feature=shift.feature,
            votes=shift.votes,
            psi=_excess(shift),
            js_bits=round(shift.js, 4),
            q=float(f"{shift.q:.3g}"),
            moved=shift.q <= self._settings.q and shift.excess >= self._settings.psi,
        )


def _excess(shift: Shift) -> float:
    return round(max(0.0, shift.excess), 4)


class Histories:
    """The history under the codebook version that answers now; it begins anew with another version."""

    def __init__(
        self, reader: WindowReader, intake: IntakeCounts, length_ms: int, settings: DriftSettings
    ) -> None:
        self._reader, self._intake, self._length_ms, self._settings = reader, intake, length_ms, settings
        self._version: str | None = None
        self._history: History | None = None

    def under(self, model: ServedModel) -> History | None:
        """The history under this model; None where its bundle has no reference."""
        if model.version != self._version:
            windows = SlidingWindows(self._reader, self._intake, self._length_ms, model.version)
            reference = model.reference
            self._history = None if reference is None else History(windows, reference, self._settings)
            self._version = model.version
        return self._history


def drift_router(windows: WindowSettings, settings: DriftSettings) -> APIRouter:
    """GET /v1/stores/{store}/drift."""

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        state: State = app.state.api
        served = state.installation
        with closing(IntakeCounts(served.store_url, served.topic, windows.length_ms)) as intake:
            app.state.drift = Histories(state.windows, intake, windows.length_ms, settings)
            yield

    router = APIRouter(tags=["operation"], lifespan=opened)

    @router.get("/v1/stores/{store}/drift", responses=documented(401, 403, 422, 429, 503))
    async def drift(request: Request, store: Store, key: ReadsDrift) -> StoreDrift:
        """How far a store's shoppers are from those that the encoder was trained on."""
        state, histories = state_of(request), request.app.state.drift
        model = state.models.model
        history = histories.under(model)
        book = await state.work.run(key.store, AlertBook.load, state.installation.home / BOOK, model.version)
        seen = [store, EVERY_STORE] if key.store == ALL_STORES else [store]
        return StoreDrift(
            store=store,
            codebook_version=model.version,
            compared=history is not None,
            window_s=windows.window_seconds,
            span_s=_SPAN_MS / 1000,
            psi_threshold=settings.psi,
            least_votes=settings.least_votes,
            watched_until=None if book.evaluated is None else (book.evaluated + 1) * windows.length_ms,
            alerts=[_raised(alert, windows.length_ms) for alert in book.active if alert.store in seen],
            found=Found() if history is None else await state.work.run(key.store, history.of, store),
        )

    return router


def _raised(alert: Alert, length_ms: int) -> RaisedAlert:
    return RaisedAlert(
        store=alert.store,
        about=alert.name,
        kind=alert.kind,
        since=(alert.since or 0) * length_ms,
        retrain_requested=alert.asked,
        sentence=Signals.sentence(alert.name),
    )
