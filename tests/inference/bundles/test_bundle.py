from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from feature_store.fold.vector import FEATURE_VERSION
from inference.bundles.bundle import PROBE_VECTORS, load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from inference.errors import BundleError
from tests.inference.made_bundles import TYPES, make_bundle, model_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle").folder


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """A file that its checksum fits."""
    (folder / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change_manifest(folder, lambda manifest: manifest["files"].update({name: digest}))


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert message.startswith(f"bundle {folder}: ")
    assert "\n" not in message
    return message.removeprefix(f"bundle {folder}: ")


def test_a_sealed_bundle_loads_and_describes_itself(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.types == TYPES
    assert len(bundle.probe_codes) == len(PROBE_VECTORS)
    about = json.loads(json.dumps(bundle.summary()))
    assert about["codebook_version"] == "2026-11-23.1"
    assert about["feature_version"] == 1
    assert about["model_bytes"] == (folder / "model.onnx").stat().st_size


def test_the_starter_bundle_serves() -> None:
    bundle = load_bundle(starter_bundle_path())
    OnnxEncoder(bundle).probe()
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) < 2_000_000


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").startswith("there is no such folder")


@pytest.mark.parametrize(
    "name", ["manifest.json", "model.onnx", "catalogue.json", "reference.json", "evaluation.json"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(folder) == f"{name} is missing"


@pytest.mark.parametrize("name", ["model.onnx", "catalogue.json", "reference.json", "evaluation.json"])
def test_one_changed_byte_is_noticed(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert refusal(folder).startswith(f"the SHA-256 of {name} is ")


def test_a_file_without_a_checksum(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest["files"].pop("reference.json"))
    assert refusal(folder) == "manifest.json has no checksum for reference.json"


def test_another_feature_version(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest.update(feature_version=FEATURE_VERSION + 1))
    assert f"trained on feature version {FEATURE_VERSION + 1}" in refusal(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bundle_version", 2),
        ("codes", 512),
        ("latent_size", 64),
        ("vector_size", 404),
        ("codebook_version", 'x"; drop'),
        ("codebook_version", ""),
        ("files", {"model.onnx": "not a digest"}),
        ("seed", "0"),
    ],
)
def test_a_manifest_that_does_not_fit_names_the_key(folder: Path, key: str, value: object) -> None:
    change_manifest(folder, lambda manifest: manifest.update({key: value}))
    message = refusal(folder)
    assert message.startswith("manifest.json does not fit: ")
    assert f"$.{key}" in message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
@pytest.mark.parametrize("name", ["catalogue.json", "reference.json", "evaluation.json"])
def test_json_that_is_none(folder: Path, name: str, content: bytes) -> None:
    replace_file(folder, name, content)
    assert refusal(folder).startswith(f"{name} does not fit: ")


def test_a_manifest_that_is_no_json(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"\x00")
    assert refusal(folder).startswith("manifest.json does not fit: ")


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        (b"", "model.onnx cannot be opened: "),
        (b"not onnx", "model.onnx cannot be opened: "),
        (
            model_bytes(input_size=404),
            "input vector of model.onnx is tensor(float) ['n', 404], expected tensor(float) [n, 403]",
        ),
        (
            model_bytes(code_dtype=TensorProto.INT32),
            "output code of model.onnx is tensor(int32) ['n'], expected tensor(int64) [n]",
        ),
        (model_bytes(latent_name="hidden"), "model.onnx has the outputs "),
        (model_bytes(fixed_batch=True), "input vector of model.onnx is tensor(float) [8, 403], expected"),
    ],
)
def test_a_graph_with_other_tensors(folder: Path, model: bytes, cause: str) -> None:
    replace_file(folder, "model.onnx", model)
    assert refusal(folder).startswith(cause)


def test_weights_beside_the_graph_are_refused(folder: Path) -> None:
    """No checksum covers them."""
    import onnx

    model = onnx.load_from_string(model_bytes())
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert (folder / "weights").exists()
    replace_file(folder, "model.onnx", (folder / "model.onnx").read_bytes())
    assert refusal(folder).startswith("model.onnx cannot be opened: ")


def test_a_type_that_the_catalogue_does_not_name(folder: Path) -> None:
    replace_file(folder, "catalogue.json", b'{"types": [{"name": "browser", "codes": [0]}]}')
    assert "catalogue.json names 1 of them" in refusal(folder)


def test_a_code_outside_the_codebook(folder: Path) -> None:
    import onnx

    model = onnx.load_from_string(model_bytes())
    cast = next(node for node in model.graph.node if list(node.output) == ["code"])
    cast.input[0] = "moved"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(200, np.int64), "two_hundred"))
    where = list(model.graph.node).index(cast)
    model.graph.node.insert(where, helper.make_node("Add", ["code64", "two_hundred"], ["moved"]))
    replace_file(folder, "model.onnx", model.SerializeToString())
    assert "outside 0 to 255" in refusal(folder)


def test_a_copied_bundle_is_the_same(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert load_bundle(copy).probe_codes == load_bundle(folder).probe_codes
