"""The inputs of a little study, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.contract.events import Event, encode_event
from ops.traffic import generate
from studies.encoder.inputs import study_inputs
from studies.encoder.study import Inputs
from tests.training.evaluation.conftest import TRAFFIC


@pytest.fixture(scope="session")
def batches() -> list[list[Event]]:
    return list(generate(TRAFFIC, seed=3))


@pytest.fixture(scope="session")
def inputs(batches: list[list[Event]], tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    path: Path = folder / "traffic.ndjson"
    path.write_bytes(b"".join(encode_event(event) + b"\n" for batch in batches for event in batch))
    return study_inputs([path], folder, most=700, generated=1500, tell=lambda _: None)
