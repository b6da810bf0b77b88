"""Encoders whose answers are planted in the rows: one that foresees, and others that lost one thing each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from feature_store.fold.vector import FEATURE_WIDTHS, SCALARS, VECTOR_SIZE
from inference.bundles.bundle import Bundle
from inference.bundles.publish import seal_bundle
from ops.traffic import TrafficConfig, generate
from tests.inference.made_bundles import stage_bundle
from training.encoder.dataset import split_by_buyer, training_rows
from training.evaluation.points import LANDMARKS
from training.lifecycle.gate_figures import Figures
from training.lifecycle.gate_foresight import EarlyRows, foresight
from training.lifecycle.gates import GateSettings, judge

BUYERS = 6_000
COLUMN = {scalar.name: i for i, scalar in enumerate(SCALARS)}
GOOD_CODE, BAD_CODE, GOOD_TYPE, BAD_TYPE, GOOD_SURE, BAD_SURE = range(20, 26)
"""Columns of the rows in which the answers are planted."""


class Reads(NamedTuple):
    """The columns that an encoder gives out as its answers."""

    code: int = GOOD_CODE
    type: int = GOOD_TYPE
    confidence: int = GOOD_SURE


def bundle_that_reads(folder: Path, columns: Reads) -> Bundle:
    """An encoder of feature version 1 whose code, type and confidence are columns of its input."""
    constants: dict[str, Any] = {
        f"{name}_at": np.array(column, np.int64) for name, column in columns._asdict().items()
    }
    constants |= {"zeros": np.zeros((FEATURE_WIDTHS[1], 96), np.float32), "none": np.float32(0)}
    constants |= {"most_code": np.float32(255), "most_type": np.float32(1)}
    whole, real = TensorProto.INT64, TensorProto.FLOAT
    nodes = [helper.make_node("MatMul", ["vector", "zeros"], ["latent"])]
    for name in ("code", "type"):
        clipped = [f"{name}_float", "none", f"most_{name}"]
        nodes += [
            helper.make_node("Gather", ["vector", f"{name}_at"], [f"{name}_float"], axis=1),
            helper.make_node("Clip", clipped, [f"{name}_clipped"]),
            helper.make_node("Cast", [f"{name}_clipped"], [name], to=whole),
        ]
    nodes.append(helper.make_node("Gather", ["vector", "confidence_at"], ["confidence"], axis=1))
    nodes += [helper.make_node("Abs", ["confidence"], [name]) for name in ("distance", "margin")]
    outputs = {"code": whole, "distance": real, "margin": real, "type": whole, "confidence": real}
    graph = helper.make_graph(
        nodes,
        "reads",
        [helper.make_tensor_value_info("vector", real, ["n", FEATURE_WIDTHS[1]])],
        [
            *(helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in outputs.items()),
            helper.make_tensor_value_info("latent", real, ["n", 96]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    staging = stage_bundle(folder.with_name(f"{folder.name}.staging"), model.SerializeToString())
    return seal_bundle(staging, folder, codebook_version=folder.name, sources=[], seed=0, command="tests")


def planted_rows(buyers: int = BUYERS) -> EarlyRows:
    """Buyers of two shops, one state each. The good code is 0 to 9, and the higher it is, the more of them
    buy; the good type is the one at the end for 80 %, and says so; the bad answers are noise, or too sure."""
    random = np.random.default_rng(0)
    code = random.integers(0, 10, buyers)
    bought = random.random(buyers) < 0.02 + 0.04 * code
    right = random.random(buyers) < 0.8
    now = np.zeros((buyers, VECTOR_SIZE), np.float32)
    now[:, GOOD_CODE], now[:, BAD_CODE] = code, random.integers(0, 10, buyers)
    then = now.copy()
    # Types are the parity of codes (stage_bundle).
    then[:, GOOD_CODE] = then[:, BAD_CODE] = random.integers(0, 10, buyers)
    end_type = then[:, GOOD_CODE] % 2
    now[:, GOOD_TYPE] = np.where(right, end_type, 1 - end_type)
    now[:, BAD_TYPE] = random.integers(0, 2, buyers)
    now[:, GOOD_SURE], now[:, BAD_SURE] = 0.8, 0.99
    number = np.arange(buyers)
    return EarlyRows(now, then, bought, number, number % 2, np.full(buyers, 3), number % 4 < 2)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_that_reads(tmp_path_factory.mktemp("bundles") / "champion", Reads())


def figures_of(bundles: list[Bundle], rows: EarlyRows) -> list[Figures]:
    plain = Figures(0.9, 0.02, 0.05, 150.0, 0.0, 1.0)
    return [plain._replace(**found) for found in foresight(bundles, rows)]


@pytest.mark.parametrize(
    ("columns", "refused"),
    [
        (Reads(), set()),
        (Reads(code=BAD_CODE), {"auc", "lift"}),
        (Reads(type=BAD_TYPE), {"kappa", "ece"}),
        (Reads(confidence=BAD_SURE), {"ece"}),
    ],
)
def test_a_candidate_that_lost_what_it_foresaw_is_refused(
    columns: Reads, refused: set[str], champion: Bundle, tmp_path: Path
) -> None:
    theirs, ours = figures_of([champion, bundle_that_reads(tmp_path / "candidate", columns)], planted_rows())
    assert {it.gate for it in judge(theirs, ours, GateSettings()) if not it.passed} == refused


def test_the_figures_are_those_that_were_planted(champion: Bundle) -> None:
    (figures,) = figures_of([champion], planted_rows())
    assert figures.kappa == pytest.approx(0.6, abs=0.04)
    assert figures.ece == pytest.approx(0.0, abs=0.03)
    assert 0.65 < figures.auc < 0.75
    assert 1.5 < figures.lift < 2.2


def test_few_buyers_who_get_deeper_decide_nothing(champion: Bundle, tmp_path: Path) -> None:
    candidate = bundle_that_reads(tmp_path / "candidate", Reads(code=BAD_CODE, type=BAD_TYPE))
    theirs, ours = figures_of([champion, candidate], planted_rows(500))
    assert all(it.passed for it in judge(theirs, ours, GateSettings()))


def test_states_inside_sessions_that_are_over_are_judged() -> None:
    data = training_rows(generate(TrafficConfig(buyers=400, stores=2), 3))
    _, validation = split_by_buyer(data, 0.25, 0)
    rows = EarlyRows.of(data, validation)
    assert set(rows.events.tolist()) == set(LANDMARKS)
    assert 0 < rows.held_out.sum() < len(rows.held_out)
    funnel = [COLUMN[name] for name in ("carts", "checkouts", "purchases")]
    gained = rows.end[:, funnel].sum(axis=1) - rows.vectors[:, funnel].sum(axis=1)
    assert (gained[rows.deeper] > 0).all()
    assert 0 < rows.deeper.sum() < len(rows.deeper)
