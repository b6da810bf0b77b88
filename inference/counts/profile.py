"""A profile: integer counts of a store's buyers and events in a window, in one fixed layout.

The worker makes profiles live and training makes the reference of a bundle. Drift compares the two, and the
API reads p_s(k) from them. Profiles are merged by addition: over partitions, windows and stores. Bin edges
are fixed, not quantiles of a bundle, so that any two profiles can be compared. How buyers are counted:
inference/counts/counting.py.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import EVENT_TYPES
from feature_store.fold.vector import SCALARS
from inference.encoders.graph import CODES
from inference.errors import ProfileError

PROFILE_VERSION: Final = 1
MAX_TYPES: Final = 16
BANDS: Final = 6
"""Bands of confidence (feature_store.online.assignment.confidence_band): 0 for none, then five equal."""

_COUNT_EDGES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)
_UNIT_EDGES: Final[dict[str, tuple[float, ...]]] = {
    "s": (0.001, 5, 10, 20, 40, 60, 120, 240, 480, 900, 1800, 3600, 7200, 14400, 43200),
    "s/event": (0.001, 2, 5, 10, 15, 20, 30, 40, 60, 90, 120, 180, 300, 600, 1200),
    "major units": (0.001, 1, 2, 5, 10, 15, 20, 30, 50, 75, 100, 200, 500, 1000, 5000),
}
# Latent units differ between bundles: three decades, each step a factor of 1.6.
_LATENT_EDGES: Final = tuple(round(0.05 * 1.6**i, 4) for i in range(15))
AGE_EDGES_MS: Final = (1_000, 10_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000)
"""How old an event is when Kafka takes it (CreateTime minus event time)."""

SCALAR_EDGES: Final[NDArray[np.float32]] = np.array(
    [_UNIT_EDGES.get(scalar.unit, _COUNT_EDGES) for scalar in SCALARS], dtype=np.float32
)
"""float32 [16, 15]. The number of a scalar's bin is the number of edges that are not above it."""
LATENT_EDGES: Final[NDArray[np.float32]] = np.array(_LATENT_EDGES, dtype=np.float32)
BINS: Final = len(_COUNT_EDGES) + 1


class Feature(NamedTuple):
    """One histogram of a profile: its cells, and what is counted in it (buyers or events)."""

    name: str
    cells: slice
    votes: str

    @property
    def size(self) -> int:
        """The number of cells."""
        return int(self.cells.stop - self.cells.start)


def _lay_out() -> tuple[Feature, ...]:
    sizes = {"codes": CODES, "types": 1 + MAX_TYPES, "confidence": BANDS, "distance": BINS, "margin": BINS}
    sizes |= {scalar.name: BINS for scalar in SCALARS} | {"event_mix": len(EVENT_TYPES)}
    sizes |= {"event_age": len(AGE_EDGES_MS) + 1}
    starts = np.cumsum([0, *sizes.values()]).tolist()
    return tuple(
        Feature(name, slice(*span), "events" if name.startswith("event_") else "buyers")
        for name, span in zip(sizes, pairwise(starts), strict=True)
    )


FEATURES: Final = _lay_out()
FEATURE: Final[dict[str, Feature]] = {feature.name: feature for feature in FEATURES}
TALLIES: Final = ("sessions", "new_buyers", "duplicates", "late", "refused", "unknown", "known")
"""Plain counts. unknown and known count the items of payloads at the collector, by whether the adapter
understood them. The others count the clickstream."""
TALLY: Final[dict[str, int]] = {name: FEATURES[-1].cells.stop + i for i, name in enumerate(TALLIES)}

YOUNG_BELOW: Final = (2, 5, 16)
"""Ages of buyers in events: votes of one event, of 2 to 4 and of 5 to 15 are also counted by themselves.
The rest of a feature's votes, from 16 events on, are what is left of them."""
OF_BUYERS: Final = tuple(feature for feature in FEATURES if feature.votes == "buyers")
BUYER_CELLS: Final = OF_BUYERS[-1].cells.stop
"""Features of buyers come first, so that a vote's cell of an age is the vote's cell and an offset."""
YOUNG: Final = FEATURES[-1].cells.stop + len(TALLIES)
"""Where the votes of the youngest age begin. Those of the next ages follow, BUYER_CELLS each. They are at
the end: the cells before them mean what they meant to releases that did not count ages."""
CELLS: Final = YOUNG + len(YOUNG_BELOW) * BUYER_CELLS

Counts = NDArray[np.int64]
"""int64 [CELLS]: a profile. `+` merges two."""

_HEADER: Final = struct.Struct("<BH")


def empty_profile() -> Counts:
    """A profile of no buyers. Adding it changes nothing."""
    return np.zeros(CELLS, dtype=np.int64)


def young(feature: Feature, age: int) -> slice:
    """The cells of a feature of buyers at one of the young ages (0: the youngest)."""
    start = YOUNG + age * BUYER_CELLS
    return slice(start + feature.cells.start, start + feature.cells.stop)


def pack_profile(counts: NDArray[np.integer[Any]]) -> bytes:
    """A profile as bytes; only cells that are not zero are stored. Equal profiles have equal bytes."""
    cells = np.flatnonzero(counts)
    return (
        _HEADER.pack(PROFILE_VERSION, len(cells))
        + cells.astype("<u2").tobytes()
        + counts[cells].astype("<i8").tobytes()
    )


def unpack_profile(raw: bytes) -> Counts:
    """Read a packed profile.

    Raises:
        ProfileError: it has another layout or is damaged.
    """
    if len(raw) < _HEADER.size:
        raise ProfileError(f"a stored profile has {len(raw)} bytes, its header alone has {_HEADER.size}")
    version, n = _HEADER.unpack_from(raw)
    if version != PROFILE_VERSION or len(raw) != _HEADER.size + 10 * n:
        raise ProfileError(
            f"a stored profile has version {version} and {len(raw)} bytes; this release reads version "
            f"{PROFILE_VERSION}: let the windows of the other release expire, or run that release"
        )
    counts, cells = empty_profile(), np.frombuffer(raw, "<u2", n, _HEADER.size)
    if n and int(cells.max()) >= CELLS:
        raise ProfileError(
            f"a stored profile has a cell {int(cells.max())}, this release knows {CELLS}: it is damaged, or "
            "a later release counts more; upgrade what reads before the workers"
        )
    counts[cells] = np.frombuffer(raw, "<i8", n, _HEADER.size + 2 * n)
    return counts


def profile_to_json(counts: Counts) -> dict[str, dict[str, int]]:
    """A profile for people and JSON files: feature -> {cell: count}, empty cells left out.

    The votes of a young age are there as "feature@age".
    """
    histograms = {name: _sparse(counts[cells]) for name, cells in _HISTOGRAMS.items()}
    return histograms | {"tallies": {name: int(counts[cell]) for name, cell in TALLY.items() if counts[cell]}}


_HISTOGRAMS: Final[dict[str, slice]] = {feature.name: feature.cells for feature in FEATURES} | {
    f"{feature.name}@{age}": young(feature, age) for age in range(len(YOUNG_BELOW)) for feature in OF_BUYERS
}


def _sparse(counts: Counts) -> dict[str, int]:
    return {str(cell): int(counts[cell]) for cell in np.flatnonzero(counts).tolist()}


def profile_from_json(content: Mapping[str, Mapping[str, int]]) -> Counts:
    """Read what profile_to_json made. Features that this release does not know are ignored.

    Raises:
        ProfileError: a cell is outside its feature.
    """
    counts = empty_profile()
    for name, cells in content.items():
        if name == "tallies":
            for tally, count in cells.items():
                if tally in TALLY:
                    counts[TALLY[tally]] = count
        elif name in _HISTOGRAMS:
            start, size = _HISTOGRAMS[name].start, _HISTOGRAMS[name].stop - _HISTOGRAMS[name].start
            for cell, count in cells.items():
                if not (cell.isdecimal() and int(cell) < size):
                    raise ProfileError(f"{name} has no cell {cell!r}: it has {size}")
                counts[start + int(cell)] = count
    return counts


def code_shares(counts: Counts) -> NDArray[np.float64]:
    """p(k), float64 [256] with sum 1; all zeros if no buyer was counted."""
    codes = np.maximum(counts[FEATURE["codes"].cells], 0)
    return codes / max(int(codes.sum()), 1)


def buyers(counts: Counts) -> int:
    """The number of buyers' votes in a profile: one per buyer and window."""
    return int(counts[FEATURE["codes"].cells].sum())
