from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from inference.encoders.graph import LAYOUTS, MAX_ROWS
from inference.encoders.triton_repository import Variant, build_repository, model_version
from tests.inference.made_bundles import make_bundle


def config_of(repository: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse(
        (repository / "encoder" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )


@pytest.mark.parametrize("variant", ["python", "onnxruntime-cpu", "onnxruntime-gpu"])
def test_the_configuration_is_valid_and_says_what_the_graph_says(tmp_path: Path, variant: Variant) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    config = config_of(build_repository(bundle, tmp_path / "models", variant))
    assert config.parameters["codebook_version"].string_value == bundle.codebook_version
    assert list(config.version_policy.specific.versions) == [model_version(bundle)]
    assert config.max_batch_size >= MAX_ROWS
    tensors = {
        tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in [*config.input, *config.output]
    }
    types = {"tensor(float)": model_config_pb2.TYPE_FP32, "tensor(int64)": model_config_pb2.TYPE_INT64}
    layout = LAYOUTS[2 if variant == "python" else 1]  # ours serves graphs of both side by side
    expected = {
        name: (types[dtype], dimensions or (1,))
        for name, (dtype, dimensions) in (layout.inputs | layout.outputs).items()
    }
    if variant == "python":
        expected["vector"] = (model_config_pb2.TYPE_FP32, (-1,))
    assert tensors == expected


@pytest.mark.parametrize(
    ("variant", "files"), [("python", {"model.onnx", "model.py"}), ("onnxruntime-gpu", {"model.onnx"})]
)
def test_a_version_holds_what_its_backend_reads(tmp_path: Path, variant: Variant, files: set[str]) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    version = build_repository(bundle, tmp_path / "models", variant) / "encoder" / str(model_version(bundle))
    assert {path.name for path in version.iterdir()} == files
    assert (version / "model.onnx").read_bytes() == bundle.model


def test_onnx_runtime_runs_on_the_device_that_was_asked_for(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    on_cpu = config_of(build_repository(bundle, tmp_path / "cpu", "onnxruntime-cpu"))
    on_gpu = config_of(build_repository(bundle, tmp_path / "gpu", "onnxruntime-gpu"))
    assert on_cpu.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_CPU
    assert on_gpu.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU


def test_another_bundle_takes_over_and_the_first_can_come_back(tmp_path: Path) -> None:
    first, second = make_bundle(tmp_path / "a", seed=1), make_bundle(tmp_path / "b", seed=2)
    assert model_version(first) != model_version(second)
    for bundle in (first, second, first):
        config = config_of(build_repository(bundle, tmp_path / "models"))
        assert list(config.version_policy.specific.versions) == [model_version(bundle)]
