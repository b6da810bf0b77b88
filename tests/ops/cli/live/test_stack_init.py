"""`simpersona stack init`: what workers need, made on servers that somebody else runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.stack.kafka import Kafka
from ops.stack.topics import topics
from ops.stack.valkey import Valkey

pytestmark = pytest.mark.integration


@pytest.fixture
def broker(tmp_path: Path) -> Kafka:
    return Kafka(tmp_path / "kafka", owned=True)


def test_it_makes_topics_definitions_and_triton_models_once(
    broker: Kafka, valkey: Valkey, tmp_path: Path
) -> None:
    broker.start()
    environment = os.environ | {
        "SIMPERSONA_HOME": str(tmp_path / "home"),
        "SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
        "SIMPERSONA_STORE_URL": valkey.address,
    }
    command = [sys.executable, "-m", "ops.cli.main", "stack", "init", "--json"]
    command += ["--triton-models", str(tmp_path / "models"), "--partitions", "4"]
    try:
        made = [
            json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
            for _ in range(2)
        ]
    finally:
        broker.stop()
    assert set(made[0]["topics_made"]) == set(topics(4))
    assert made[1]["topics_made"] == []
    config = (tmp_path / "models" / "encoder" / "config.pbtxt").read_text()
    assert 'platform: "onnxruntime_onnx"' in config
    assert "KIND_CPU" in config
