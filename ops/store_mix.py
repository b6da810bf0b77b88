"""p_s(k) of a store: from the reference of a bundle, or from what workers counted lately."""

from __future__ import annotations

from typing import Final, Literal

from inference.bundles.bundle import Bundle
from inference.bundles.reference import load_reference
from inference.counts.profile import Counts, empty_profile
from inference.population import Mix, profiles_mix

Source = Literal["reference", "live"]
HOUR_MS: Final = 3_600_000


def mix_of(bundle: Bundle, store: str, source: Source) -> Mix:
    """The smoothed mix of a store's codes; an unknown store has that of all stores.

    Raises:
        ProfileError: the bundle has no counts (reference), or they are of another release.
        OnlineStoreError: the store of a running installation does not answer (live).
        SamplingError: nobody was counted.
    """
    if source == "reference":
        reference = load_reference(bundle.folder)
        return profiles_mix(reference.stores, reference.pooled, store)
    stores = _live(bundle.codebook_version)
    return profiles_mix(stores, sum(stores.values(), empty_profile()), store)


def _live(version: str) -> dict[str, Counts]:
    from feature_store.online.rows import OnlineRows
    from inference.counts.windows import WindowReader, WindowSettings
    from streams.settings import WorkerSettings

    settings, worker = WindowSettings(), WorkerSettings()
    rows = OnlineRows(worker.store_url, worker.topic)
    try:
        return WindowReader(rows, settings).recent(round(settings.window_hours * HOUR_MS), version)
    finally:
        rows.close()
