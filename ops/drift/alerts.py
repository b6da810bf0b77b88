"""From shifts to alerts: what lasts raises one, what lasts longer asks for a retrain.

One odd window is no alert and one calm window ends none. The book is kept in a file, so that `simpersona
drift` may be run by a timer as well as watch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from feature_store.workspace import write_whole
from ops.drift.settings import DriftSettings
from ops.drift.signals import Kind
from ops.errors import DriftError
from ops.retraining.request import Request, write_request

BOOK: Final = "drift.json"
"""Name of the book's file in the data folder."""
ALL_STORES: Final = "*"
"""How every store together is spelt in files and labels."""


class Finding(NamedTuple):
    """Something beyond its threshold in one look: about the model (a feature moved away from the
    reference) or about the data itself (refused, late, ... events). windows: how many a look covers."""

    store: str | None
    name: str
    kind: Kind
    windows: int
    figures: dict[str, float]


class Alert(msgspec.Struct, kw_only=True):
    """A finding that keeps coming. windows: as in Finding; over, under: windows in a row with and without
    it; since: the window in which it became an alert, None while it is none; figures: the last ones."""

    store: str
    name: str
    kind: Kind
    windows: int
    over: int = 0
    under: int = 0
    since: int | None = None
    asked: bool = False
    """Whether a retrain was asked for on its account."""
    figures: dict[str, float] = {}


class AlertBook(msgspec.Struct, kw_only=True):
    """Alerts under one codebook version; evaluated is the last window that was looked at."""

    version: str
    evaluated: int | None = None
    alerts: list[Alert] = []

    @property
    def active(self) -> list[Alert]:
        """Alerts that are raised, the oldest first."""
        return sorted((a for a in self.alerts if a.since is not None), key=lambda a: a.since or 0)

    def note(self, window: int, findings: Iterable[Finding], settings: DriftSettings) -> None:
        """Take in what one window showed; windows come in order."""
        by_key = {(alert.store, alert.name, alert.windows): alert for alert in self.alerts}
        met = set()
        for finding in findings:
            key = (finding.store or ALL_STORES, finding.name, finding.windows)
            alert = by_key.get(key)
            if alert is None:
                alert = by_key[key] = Alert(store=key[0], name=key[1], kind=finding.kind, windows=key[2])
            alert.over, alert.under, alert.figures = alert.over + 1, 0, finding.figures
            if alert.since is None and alert.over >= alert.windows + settings.raise_after:
                alert.since = window
            met.add(key)
        for key, alert in by_key.items():
            if key not in met:
                alert.over, alert.under = 0, alert.under + 1
        self.alerts = [
            alert
            for alert in by_key.values()
            if alert.under < (settings.clear_after if alert.since is not None else 1)
        ]
        self.evaluated = window

    def wanting_retrain(self, settings: DriftSettings) -> Alert | None:
        """An alert about the model that has lasted and for which nothing was asked; the oldest one."""
        for alert in self.active:
            lasted = 1 + (self.evaluated or 0) - (alert.since or 0)
            if alert.kind == "model" and not alert.asked and lasted >= settings.retrain_after:
                return alert
        return None

    def save(self, path: Path) -> None:
        """Keep the book, whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def load(cls, path: Path, version: str) -> AlertBook:
        """The kept book; an empty one where there is none, or where it is of another codebook version.

        Raises:
            DriftError: the file is no book.
        """
        if not path.exists():
            return cls(version=version)
        try:
            book = msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise DriftError(f"{path} cannot be read ({error}); remove it, alerts then begin anew") from error
        return book if book.version == version else cls(version=version)


def request_retrain(home: Path, alert: Alert, requested_at: str, figures: Mapping[str, Any]) -> bool:
    """Leave a request for `simpersona retrain`; False where one waits already."""
    alert.asked = True
    everywhere = alert.store == ALL_STORES
    where = "all stores together" if everywhere else f"store {alert.store}"
    return write_request(
        home,
        Request(
            requested_at=requested_at,
            reason=f"{alert.name} of {where} has drifted from the reference",
            store=None if everywhere else alert.store,
            figures={"feature": alert.name, **alert.figures, **figures},
        ),
    )
