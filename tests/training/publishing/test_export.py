"""The exported graph says what torch says, at any batch size and for any raw numbers."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from feature_store.fold.funnel import fact_cells
from feature_store.fold.vector import VECTOR_SIZE
from inference.bundles.bundle import Bundle, load_bundle
from inference.bundles.reference import load_reference
from inference.encoders.graph import CODES, open_graph, run_graph
from inference.encoders.onnx import OnnxEncoder
from inference.errors import BundleError
from tests.training.conftest import SMALL, synthetic_buyers
from training.encoder.dataset import BuyerVectors
from training.encoder.facts import cells_of
from training.encoder.train import Trained, train
from training.errors import ExportError
from training.publishing.export import TIE, ServingGraph, check_parity, export_onnx, parity_rows
from training.publishing.publish import MAX_BUNDLE_BYTES, check_absent, publish

pytestmark = pytest.mark.numeric

Published = tuple[Bundle, dict[str, object]]


@pytest.fixture(scope="session")
def published(trained: Trained, buyers: BuyerVectors, tmp_path_factory: pytest.TempPathFactory) -> Published:
    out = tmp_path_factory.mktemp("bundles") / "one"
    return publish(trained, buyers, out, sources=["synthetic"], command="tests")


def graph_of(trained: Trained) -> ServingGraph:
    groups = trained.forecasting and trained.forecasting.groups
    return ServingGraph(trained.model, groups and groups.type_of_code).eval()


def test_codes_are_torch_codes(published: Published, trained: Trained) -> None:
    rows = parity_rows(synthetic_buyers(3000, seed=9).vectors, seed=1, rows=6000)
    served = OnnxEncoder(published[0]).encode(rows)
    with torch.inference_mode():
        code, distance, margin, *_ = graph_of(trained)(torch.from_numpy(rows))
    clear = served.margin > TIE * served.distance
    assert clear.mean() > 0.99
    assert np.array_equal(served.code[clear], code.numpy()[clear])
    np.testing.assert_allclose(served.distance, distance, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(served.margin, margin, rtol=1e-2, atol=1e-3)


def test_distance_and_margin_by_their_definition(trained: Trained, buyers: BuyerVectors) -> None:
    with torch.inference_mode():
        code, distance, margin, *_, latent = graph_of(trained)(torch.from_numpy(buyers.vectors))
    every = np.linalg.norm(
        latent.double().numpy()[:, None] - trained.model.quantizer.codebook.double().numpy()[None], axis=2
    )
    every[fact_cells(buyers.vectors)[:, None] != trained.model.quantizer.cell_of_code.numpy()] = np.inf
    nearest = np.sort(every, axis=1)
    clear = nearest[:, 1] - nearest[:, 0] > TIE * nearest[:, 0]
    assert clear.mean() > 0.99
    assert np.array_equal(code.numpy()[clear], every.argmin(axis=1)[clear])
    np.testing.assert_allclose(distance, nearest[:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(margin, nearest[:, 1] - nearest[:, 0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_the_batch_size_changes_no_code(published: Published, size: int) -> None:
    rows = synthetic_buyers(1200, seed=4).vectors
    session = open_graph(published[0].model, threads=1)
    parts = [run_graph(session, rows[i : i + size]).code for i in range(0, len(rows), size)]
    assert np.array_equal(np.concatenate(parts), run_graph(session, rows).code)


def test_extremes_give_numbers(published: Published) -> None:
    rows = np.zeros((6, VECTOR_SIZE), dtype=np.float32)
    rows[:, :] = np.array([0.0, 1e9, 1e12, 3e38, -3e38, 1e-40])[:, None]
    served = OnnxEncoder(published[0]).encode(rows)
    assert np.isfinite(served.distance).all()
    assert (served.margin >= 0).all()


def test_types_and_their_probability_are_those_of_torch(
    published: Published, trained: Trained, buyers: BuyerVectors
) -> None:
    served = OnnxEncoder(published[0]).encode(buyers.vectors)
    assert trained.model.forecast is not None
    assert trained.forecasting is not None
    with torch.inference_mode():
        vectors = torch.from_numpy(buyers.vectors)
        odds = trained.model.forecast(trained.model.latents(vectors), cells_of(vectors))
        probability = odds.softmax(dim=1).numpy()
    rows = np.arange(len(buyers.vectors))
    close = {"rtol": 1e-3, "atol": 1e-5}
    np.testing.assert_allclose(served.forecast_probability, probability.max(axis=1), **close)
    np.testing.assert_allclose(probability[rows, served.forecast], probability.max(axis=1), **close)
    assert np.array_equal(served.type, trained.forecasting.groups.type_of_code[served.code])
    np.testing.assert_allclose(served.confidence, probability[rows, served.type], **close)


def test_no_buyer_is_given_a_type_that_a_fact_denies(published: Published) -> None:
    rows = parity_rows(synthetic_buyers(3000, seed=9).vectors, seed=1, rows=6000)
    served, kinds = OnnxEncoder(published[0]).encode(rows), published[0].catalogue.types
    for index, kind in enumerate(kinds):
        assert kind.facts is not None
        for cell in np.unique(fact_cells(rows)[served.type == index]).tolist():
            assert kind.facts.hold_in(cell)
        for cell in np.unique(fact_cells(rows)[served.forecast == index]).tolist():
            assert kind.facts.can_follow(cell)


def test_every_code_has_one_type(published: Published) -> None:
    kinds = published[0].catalogue.types
    assert 6 <= len(kinds) <= 12
    assert sorted(code for kind in kinds for code in kind.codes) == list(range(CODES))


def test_a_bundle_without_types_says_none(
    buyers: BuyerVectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.publishing.export.PARITY_ROWS", 2000)
    plain = train(buyers, SMALL.model_copy(update={"forecast_epochs": 0, "epochs": 1}))
    bundle, _ = publish(plain, buyers, tmp_path / "plain", sources=[], command="tests")
    served = OnnxEncoder(bundle).encode(buyers.vectors[:5])
    assert bundle.types == ()
    assert served.type.tolist() == [-1] * 5
    assert served.forecast.tolist() == [-1] * 5
    assert np.isnan(served.confidence).all()
    assert np.isnan(served.forecast_probability).all()


def test_the_parity_test_has_100_000_rows(published: Published, buyers: BuyerVectors) -> None:
    parity = published[1]["parity"]
    assert isinstance(parity, dict)
    assert parity["rows"] == 100_000
    assert parity["type_ties"] <= 1e-3 * parity["rows"]


def test_a_full_disk_leaves_nothing(
    trained: Trained, buyers: BuyerVectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.publishing.export.PARITY_ROWS", 2000)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("training.publishing.publish.seal_bundle", full)
    with pytest.raises(OSError, match="No space left"):
        publish(trained, buyers, tmp_path / "one", sources=[], command="tests")
    assert not list(tmp_path.iterdir())


def test_a_graph_of_another_model_is_found_out(
    buyers: BuyerVectors, trained: Trained, tmp_path: Path
) -> None:
    other = train(buyers, SMALL.model_copy(update={"seed": 5, "epochs": 1}))
    export_onnx(graph_of(other), tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=r"of another fact cell|other codes for"):
        check_parity(graph_of(trained), tmp_path / "model.onnx", buyers.vectors, seed=0)


def test_the_manifest_names_the_stores_that_were_seen(
    published: Published,
    trained: Trained,
    buyers: BuyerVectors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert published[0].manifest.stores == ["s"]
    monkeypatch.setattr("training.publishing.export.PARITY_ROWS", 2000)
    out = tmp_path / "starter"
    starter, _ = publish(trained, buyers, out, sources=[], command="tests", made_up=True)
    assert starter.manifest.stores == []


def test_the_bundle_is_whole(published: Published, buyers: BuyerVectors) -> None:
    bundle, evaluated = published
    folder = bundle.folder
    assert load_bundle(folder).codebook_version == bundle.codebook_version
    assert sum(file.stat().st_size for file in folder.iterdir()) < MAX_BUNDLE_BYTES
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]  # no staging folder is left
    assert json.loads((folder / "evaluation.json").read_text()) == json.loads(json.dumps(evaluated))
    codes = json.loads((folder / "catalogue.json").read_text())["codes"]
    assert sum(code.get("share", 0.0) for code in codes) == pytest.approx(1.0, abs=1e-3)
    assert load_reference(folder).stores == {}  # no history was given


def test_a_graph_names_no_file_of_the_machine_that_trained(
    published: Published,
) -> None:
    assert b".py" not in published[0].model


def test_a_bundle_is_never_overwritten(
    published: Published, trained: Trained, buyers: BuyerVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.publishing.export.PARITY_ROWS", 2000)
    out = published[0].folder
    with pytest.raises(ExportError, match="is there already"):
        check_absent(out)
    with pytest.raises(BundleError, match="is there already"):
        publish(trained, buyers, out, sources=[], command="tests")
    assert [file.name for file in out.parent.iterdir()] == [out.name]
