"""A little generated traffic, made once."""

from __future__ import annotations

import pytest

from feature_store.contract.events import Event
from ops.traffic import TrafficConfig, generate

TRAFFIC = TrafficConfig(buyers=3000, hours=48, stores=2)


@pytest.fixture(scope="session")
def batches() -> list[list[Event]]:
    return list(generate(TRAFFIC, seed=3))
