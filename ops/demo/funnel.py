"""How far down the funnel a shopper is, read through Feast as any consumer of features would."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

from feature_store.errors import OnlineStoreError
from ops.demo.display.shown_shoppers import ShownShoppers

_READ_EVERY_S: Final = 0.5
_FEATURES: Final = ("purchases", "checkouts", "carts")
_STAGES: Final = ("A purchased", "B checkout", "C cart")
_LOOKS: Final = "D looks"


def stage(counts: dict[str, float | None]) -> str:
    """The deepest stage with a count; unknown ("") before the buyer's first checkpoint."""
    if counts["carts"] is None:
        return ""
    for name, label in zip(_FEATURES, _STAGES, strict=True):
        if counts[name]:
            return label
    return _LOOKS


class FunnelReader:
    """Keeps the stages of the shown shoppers, in a thread: Feast's import alone takes two seconds."""

    def __init__(self, shown: ShownShoppers, store_url: str, topic: str, home: Path) -> None:
        self._shown, self._store = shown, (store_url, topic, home)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="funnel", daemon=True)

    def start(self) -> None:
        """Register the Feast definitions, then read until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End. Waits for Feast's import where it is under way: a thread inside it when Python ends aborts."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        from feature_store.online.feast.repo import apply, open_feature_store

        apply(*self._store)
        store = open_feature_store(*self._store)
        while not self._stop.wait(_READ_EVERY_S):
            try:
                self._read(store)
            except OnlineStoreError:
                continue  # the worker's own log says more; the stages stay as they were

    def _read(self, store: Any) -> None:
        shoppers = list(self._shown.rows)
        if not shoppers:
            return
        found = store.get_online_features(
            features=[f"buyer_features:{name}" for name in _FEATURES],
            entity_rows=[{"store": s.assignment.store, "buyer": s.assignment.buyer} for s in shoppers],
        ).to_dict()
        for i, shopper in enumerate(shoppers):
            shopper.stage = stage({name: found[name][i] for name in _FEATURES})
