from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_store.fold.vector import SCALARS, VECTOR_SIZE
from inference.bundles.bundle import Bundle
from inference.bundles.publish import seal_bundle
from inference.encoders.graph import open_graph, run_graph
from tests.inference.made_bundles import make_bundle, model_bytes, random_vectors, stage_bundle
from tests.training.conftest import whole_histories
from training.encoder.dataset import BuyerVectors
from training.errors import GateError
from training.lifecycle.gate_figures import GateRows, changed_codes, latencies_ms, measure

COLUMN = {scalar.name: i for i, scalar in enumerate(SCALARS)}


def buyers(n: int, events: int = 5) -> BuyerVectors:
    """Buyers of two stores; every fourth purchased."""
    vectors = random_vectors(n)
    vectors[:, : len(SCALARS)] = np.abs(vectors[:, : len(SCALARS)])
    for name in ("carts", "checkouts", "purchases"):
        vectors[:, COLUMN[name]] = 0
    vectors[::4, COLUMN["purchases"]] = 1
    vectors[:, COLUMN["events"]] = events
    keys = [(f"s{i % 2}", str(i)) for i in range(n)]
    return whole_histories(keys, vectors)


def bundle_of(folder: Path, evaluation: dict[str, Any]) -> Bundle:
    staging = stage_bundle(folder.with_name(f"{folder.name}.staging"), model_bytes())
    (staging / "evaluation.json").write_text(json.dumps(evaluation))
    return seal_bundle(staging, folder, codebook_version="v", sources=[], seed=0, command="tests")


def parity(ties: int) -> dict[str, Any]:
    return {"parity": {"rows": 100, "ties": [{"row": i} for i in range(ties)]}}


def test_the_same_bundle_has_the_same_figures(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "one", parity(0))
    rows = GateRows.of(buyers(400), 0.25, 0)
    one, other = measure([bundle, bundle], rows)
    assert one._replace(latency_ms=0) == other._replace(latency_ms=0)
    assert 0 < one.purity <= 1
    assert 1 < one.perplexity <= 256
    assert 0 <= one.js <= math.log(2)


def test_rows_are_split_as_training_splits_them_and_levels_come_from_the_others() -> None:
    rows = GateRows.of(buyers(400), 0.25, 0)
    assert rows.held_out.sum() == 100
    assert set(rows.store.tolist()) == {0, 1}
    assert rows.vectors.shape == (400, VECTOR_SIZE)


def test_few_buyers_are_judged_in_smaller_codes(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "one", parity(0))
    data = buyers(400)
    code = run_graph(open_graph(bundle.model, threads=1), data.vectors).code
    _, different = np.unique(code, return_index=True)

    def incoherence(copies: int) -> float:
        """Of eight codes with so many buyers each."""
        few = buyers(8 * copies)._replace(vectors=np.repeat(data.vectors[different[:8]], copies, axis=0))
        return measure([bundle], GateRows.of(few, 0.25, 0))[0].incoherence

    assert incoherence(12) == incoherence(6)  # copies: the same shares of both ends
    assert math.isnan(incoherence(4))


def test_brief_buyers_are_not_judged() -> None:
    with pytest.raises(GateError, match="0 buyers with 3 events or more are too few"):
        GateRows.of(buyers(400, events=2), 0.25, 0)


def test_latencies_are_told_for_each_bundle(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "one")
    times = latencies_ms([bundle, bundle], random_vectors(10))
    assert len(times) == 2
    assert all(0 < time < math.inf for time in times)


def test_codes_that_torch_gives_otherwise_count_as_changed(tmp_path: Path) -> None:
    rows = random_vectors(300)
    assert changed_codes(bundle_of(tmp_path / "none", parity(0)), rows) == pytest.approx(0, abs=0.01)
    assert changed_codes(bundle_of(tmp_path / "five", parity(5)), rows) == pytest.approx(0.05)
    assert changed_codes(bundle_of(tmp_path / "unknown", {}), rows) == 1.0
