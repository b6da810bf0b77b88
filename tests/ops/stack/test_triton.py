"""The real tritonserver with a trivial model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ops.errors import ServerStartError
from ops.stack.triton import SHARED_MEMORY, Triton
from tests.waiting import gone, wait_until

pytestmark = pytest.mark.integration

CONFIG = """
name: "encoder"
backend: "python"
max_batch_size: 16
input [ { name: "x", data_type: TYPE_FP32, dims: [ 4 ] } ]
output [ { name: "y", data_type: TYPE_FP32, dims: [ 4 ] } ]
instance_group [ { count: 1, kind: KIND_CPU } ]
"""
IDENTITY = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", x)]) for x in inputs]
"""


def repository(folder: Path, model: str) -> Path:
    (folder / "encoder" / "1").mkdir(parents=True)
    (folder / "encoder" / "config.pbtxt").write_text(CONFIG)
    (folder / "encoder" / "1" / "model.py").write_text(model)
    return folder


@pytest.fixture
def triton(tmp_path: Path) -> Iterator[Triton]:
    server = Triton(repository(tmp_path / "models", IDENTITY), tmp_path / "triton", owned=True)
    server.start()
    yield server
    server.stop()


def infer(server: Triton, rows: np.ndarray) -> np.ndarray:
    from tritonclient import grpc

    tensor = grpc.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    with grpc.InferenceServerClient(server.address) as client:
        return client.infer("encoder", [tensor]).as_numpy("y")


def test_it_answers_and_comes_back_after_a_kill(triton: Triton) -> None:
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(infer(triton, rows), rows)
    assert triton.process is not None
    stubs = triton.process.children(recursive=True)
    assert stubs
    address = triton.address

    triton.kill()

    wait_until(lambda: all(map(gone, stubs)), "the stubs to end")
    assert not list(SHARED_MEMORY.glob(f"simpersona_triton_{triton.port}_*"))
    triton.start()
    assert triton.address == address
    np.testing.assert_array_equal(infer(triton, rows), rows)


def test_a_model_that_does_not_load_is_reported(tmp_path: Path) -> None:
    broken = repository(tmp_path / "models", "raise RuntimeError('no such graph')")
    server = Triton(broken, tmp_path / "triton", owned=True)
    with pytest.raises(ServerStartError, match=r"(?s)triton ended.*no such graph"):
        server.start()
