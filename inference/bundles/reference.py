"""The reference of a bundle: the profile of its training data, by store and pooled (reference.json).

What live traffic is compared with (ops/drift) and where p_s(k) comes from before a store has traffic.
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
"""How much event time a comparison looks at: a short span sees a shift soon, a long one sees it in small
stores. Training measures for both how much a quiet history varies by itself."""


class Reference(NamedTuple):
    """Counts of the training data under its own encoder.

    dispersion: span (ms) -> feature -> how much its counts vary between the spans of one store, as a multiple
    of what independent votes would (training/publishing/reference.py). It widens the significance test.
    """

    pooled: Counts
    stores: dict[str, Counts]
    dispersion: dict[int, dict[str, float]]

    def of(self, store: str | None) -> Counts:
        """A store's counts; the pooled ones for None, and for a store that training did not see."""
        return self.pooled if store is None else self.stores.get(store, self.pooled)


class _File(msgspec.Struct, frozen=True):
    profile_version: int
    pooled: dict[str, dict[str, int]]
    stores: dict[str, dict[str, dict[str, int]]]
    dispersion: dict[int, dict[str, float]]


def reference_to_json(reference: Reference, about: Mapping[str, Any]) -> dict[str, Any]:
    """reference.json's content; `about` says how it was counted."""
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
        ProfileError: the bundle was made by an older release and has no counts, or they do not fit.
    """
    try:
        raw = (folder / REFERENCE).read_bytes()
    except OSError as error:
        raise ProfileError(f"{folder / REFERENCE} cannot be read: {error.strerror}") from error
    try:
        file = msgspec.json.decode(raw, type=_File)
    except msgspec.MsgspecError as error:
        raise ProfileError(
            f"{folder / REFERENCE} holds no profile to compare with ({error}): the bundle was made by an "
            "older release; train it again"
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
