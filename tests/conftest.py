"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a time is never asserted, and the first call of a compiled loop compiles it.
# CI tries the same examples each time, so that what fails there fails by the change; others try new ones.
settings.register_profile("simpersona", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "simpersona")

pytest_plugins = [
    "tests.rounding",
    "tests.chromium",
    "tests.stack_fixtures",
    "tests.rig_fixtures",
    "tests.llm_fixtures",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where two processes share the files (`make test`): those with servers come first, as they take longest.

    Else one process would end with such a file while the other had nothing left to do.
    """
    if hasattr(config, "workerinput"):
        slow = {
            item.path
            for item in items
            if item.get_closest_marker("integration", item.get_closest_marker("faults"))
        }
        items.sort(key=lambda item: item.path not in slow)


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clickstream data; tests that read it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real clickstream data is not at {SHARED_DATA}")
    return SHARED_DATA
