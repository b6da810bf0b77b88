"""The reference of a bundle (reference.json): the profiles of its training data, by store and pooled.

Drift compares live traffic with it (ops/drift). It also gives p_s(k) before a store has traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from inference.counts.profile import PROFILE_VERSION, Counts, profile_from_json, profile_to_json
from inference.errors import ProfileError

REFERENCE: Final = "reference.json"
SPANS_MS: Final = (15 * 60_000, 6 * 3_600_000)
"""How much event time is compared. A short span finds a shift soon, a long span finds it in small stores.
For both, training measures how much a history without a shift varies by itself."""


class Reference(NamedTuple):
    """Profiles of the training data, encoded by the bundle itself.

    dispersion: span (ms) -> feature -> how much its counts vary between the spans of a store, as a multiple
    of the variation of independent votes (training/publishing/reference.py). It widens the significance test.
    """

    pooled: Counts
    stores: dict[str, Counts]
    dispersion: dict[int, dict[str, float]]

    def of(self, store: str | None) -> Counts:
        """The profile of a store; the pooled one for None and for stores that were not in training."""
        return self.pooled if store is None else self.stores.get(store, self.pooled)


class _File(msgspec.Struct, frozen=True):
    profile_version: int
    pooled: dict[str, dict[str, int]]
    stores: dict[str, dict[str, dict[str, int]]]
    dispersion: dict[int, dict[str, float]]


def reference_to_json(reference: Reference, about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of reference.json; `about` describes how it was counted."""
    return {
        "profile_version": PROFILE_VERSION,
        **about,
        "dispersion": {str(span): dict(by_feature) for span, by_feature in reference.dispersion.items()},
        "pooled": profile_to_json(reference.pooled),
        "stores": {store: profile_to_json(counts) for store, counts in reference.stores.items()},
    }


def load_reference(folder: Path) -> Reference:
    """Read a bundle's reference.

    Raises:
        ProfileError: an older release made the bundle without counts, or they do not fit.
    """
    try:
        raw = (folder / REFERENCE).read_bytes()
    except OSError as error:
        raise ProfileError(f"{folder / REFERENCE} cannot be read: {error.strerror}") from error
    try:
        file = msgspec.json.decode(raw, type=_File)
    except msgspec.MsgspecError as error:
        raise ProfileError(
            f"{folder / REFERENCE} holds no profile to compare with ({error}): an older release made "
            "the bundle; train it again"
        ) from error
    if file.profile_version != PROFILE_VERSION:
        raise ProfileError(
            f"{folder / REFERENCE} has profile version {file.profile_version}, this release reads "
            f"{PROFILE_VERSION}: use a bundle of this release"
        )
    return Reference(
        profile_from_json(file.pooled),
        {store: profile_from_json(counts) for store, counts in file.stores.items()},
        file.dispersion,
    )
