"""Counts of windows as the store has them."""

from __future__ import annotations

from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.counts.profile import Counts
from inference.counts.windows import WindowReader, WindowSettings
from tests.rig import Rig


def stored(rig: Rig) -> dict[tuple[str, int], Counts]:
    reader = WindowReader(rig.rows, WindowSettings(window_seconds=10))
    newest = reader.newest()
    assert newest is not None
    version = load_bundle(starter_bundle_path()).codebook_version
    return {
        (whose.store, number): counts
        for number, found in reader.windows(newest - 60, newest + 1).items()
        for whose, counts in found.items()
        if whose.version == version
    }
