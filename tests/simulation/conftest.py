"""Workers of the simulation log nothing: they survive faults all the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.chunk import silence


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    with silence():
        yield
