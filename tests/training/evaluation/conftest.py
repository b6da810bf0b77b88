"""A little generated traffic as points, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.contract.events import Event
from ops.study import study_inputs
from ops.traffic import TrafficConfig, generate
from training.evaluation.study import Inputs

TRAFFIC = TrafficConfig(buyers=3000, hours=48, stores=2)


@pytest.fixture(scope="session")
def batches() -> list[list[Event]]:
    return list(generate(TRAFFIC, seed=3))


@pytest.fixture(scope="session")
def inputs(batches: list[list[Event]], tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    from feature_store.contract.events import encode_event

    folder = tmp_path_factory.mktemp("inputs")
    path: Path = folder / "traffic.ndjson"
    path.write_bytes(b"".join(encode_event(event) + b"\n" for batch in batches for event in batch))
    return study_inputs([path], folder, most=700, generated=1500, tell=lambda _: None)
