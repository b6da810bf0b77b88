"""Rigs: workers on a real Kafka of their own, which fault tests may kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.stack.kafka import Kafka
from tests.rig import Rig


@pytest.fixture(scope="session")
def rig_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    broker = Kafka(tmp_path_factory.mktemp("rig-kafka"), owned=True)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def make_rig(rig_kafka: Kafka, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**settings: Any) -> Rig:
        rig_kafka.start()
        folder = tmp_path / f"rig{len(rigs)}"
        folder.mkdir()
        rigs.append(Rig(rig_kafka, folder, **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()
