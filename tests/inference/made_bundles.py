"""A small encoder built node by node: what tests of the runtimes need, without training one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from feature_store.fold.vector import FEATURE_WIDTHS, VECTOR_SIZE
from inference.bundles.bundle import Bundle
from inference.bundles.publish import seal_bundle

TYPES = ("browser", "comparer")


def model_bytes(seed: int = 0, **changes: object) -> bytes:
    """A linear encoder of feature version 1 with a random codebook of 256 codes; the type is 1 where the code
    is odd.

    changes: input_size, code_dtype, latent_name and fixed_batch spoil one thing each.
    """
    random = np.random.default_rng(seed)
    size = int(str(changes.get("input_size", FEATURE_WIDTHS[1])))
    latent = str(changes.get("latent_name", "latent"))
    code_dtype = int(str(changes.get("code_dtype", TensorProto.INT64)))
    n = 8 if changes.get("fixed_batch") else "n"
    codebook = random.standard_normal((256, 96)).astype(np.float32)
    constants = {
        "weight": (random.standard_normal((size, 96)) / 20).astype(np.float32),
        "codebook": codebook,
        "two": np.array([2], np.int64),
        "two_scalar": np.array(2, np.int64),
        "last": np.array([2], np.int64),
        "first_column": np.array(0, np.int64),
        "second_column": np.array(1, np.int64),
        "one": np.array(1.0, np.float32),
        "column": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["vector", "weight"], [latent]),
        helper.make_node("Unsqueeze", [latent, "column"], ["latent3"]),
        helper.make_node("Sub", ["latent3", "codebook"], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["squared"]),
        helper.make_node("ReduceSum", ["squared", "last"], ["distances2"], keepdims=0),
        helper.make_node("Sqrt", ["distances2"], ["distances"]),
        helper.make_node("TopK", ["distances", "two"], ["nearest", "codes"], largest=0),
        helper.make_node("Gather", ["codes", "first_column"], ["code64"], axis=1),
        helper.make_node("Cast", ["code64"], ["code"], to=code_dtype),
        helper.make_node("Gather", ["nearest", "first_column"], ["distance"], axis=1),
        helper.make_node("Gather", ["nearest", "second_column"], ["second"], axis=1),
        helper.make_node("Sub", ["second", "distance"], ["margin"]),
        helper.make_node("Mod", ["code64", "two_scalar"], ["type"]),
        helper.make_node("Add", ["distance", "one"], ["above_one"]),
        helper.make_node("Div", ["one", "above_one"], ["confidence"]),
    ]
    outputs = [
        helper.make_tensor_value_info("code", code_dtype, [n]),
        helper.make_tensor_value_info("distance", TensorProto.FLOAT, [n]),
        helper.make_tensor_value_info("margin", TensorProto.FLOAT, [n]),
        helper.make_tensor_value_info("type", TensorProto.INT64, [n]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [n]),
        helper.make_tensor_value_info(latent, TensorProto.FLOAT, [n, 96]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [n, size])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def stage_bundle(folder: Path, model: bytes, types: tuple[str, ...] = TYPES) -> Path:
    """The files of a bundle, all but the manifest."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)
    named = [{"name": name, "codes": list(range(i, 256, 2)), "facts": {}} for i, name in enumerate(types)]
    catalogue = {"types": named}
    (folder / "catalogue.json").write_text(json.dumps(catalogue))
    (folder / "reference.json").write_text("{}")
    (folder / "evaluation.json").write_text("{}")
    return folder


def make_bundle(target: Path, seed: int = 0, codebook_version: str = "2026-11-23.1") -> Bundle:
    """A bundle sealed at target."""
    staging = stage_bundle(target.with_name(f"{target.name}.staging"), model_bytes(seed))
    return seal_bundle(
        staging, target, codebook_version=codebook_version, sources=["none"], seed=seed, command="tests"
    )


def random_vectors(rows: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Rows whose numbers take the scales of counts, money and unit embeddings."""
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((rows, VECTOR_SIZE)).astype(np.float32)
    vectors[:, :16] *= random.lognormal(0.0, 1.0, (rows, 16)).astype(np.float32)
    return vectors
