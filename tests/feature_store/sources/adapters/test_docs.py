"""docs/adapters.md names every event that the code knows."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from feature_store.sources import adapters
from feature_store.sources.skips import SkipReason

ROWS = [
    line.split("|")[1:-1]
    for line in (Path(__file__).parents[4] / "docs" / "adapters.md").read_text().splitlines()
    if line.startswith("|")
]
MODULES = [
    importlib.import_module(f"{adapters.__name__}.{module.name}")
    for module in pkgutil.iter_modules(adapters.__path__)
]
TABLES = {module.__name__: module.EVENT_TYPES for module in MODULES if hasattr(module, "EVENT_TYPES")}


@pytest.mark.parametrize("vendor", TABLES)
def test_every_event_is_in_the_tables(vendor: str) -> None:
    for theirs, ours in TABLES[vendor].items():
        assert any(f"`{theirs}`" in row[0] and f"`{ours}`" in row[1] for row in ROWS), (theirs, ours)


def test_every_skip_reason_is_explained() -> None:
    explained = {row[0].strip().strip("`") for row in ROWS}
    assert set(SkipReason) <= explained
