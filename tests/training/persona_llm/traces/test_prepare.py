"""Preparing traces: the folder is whole or not there, the manifest says what is in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from feature_store.errors import OutputError
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from tests.training.lifecycle.test_registry import full_disk, one_byte_changed
from tests.training.persona_llm.models import history
from tests.training.persona_llm.shops import event
from training.errors import DatasetError
from training.persona_llm.model.tokens import codebook
from training.persona_llm.storefront.store_model import load_stores
from training.persona_llm.traces.prepare import CODEBOOK, STORES, prepare
from training.persona_llm.traces.traces import load_traces, make_traces

BUNDLE = load_bundle(starter_bundle_path())


def make(out: Path, **options: object) -> dict[str, object]:
    asked = {"sources": ["a file"], "command": "test"} | options
    return prepare([history()[:200], history()[200:]], BUNDLE, out, **asked)  # type: ignore[arg-type]


def test_the_folder_holds_what_the_manifest_says(tmp_path: Path) -> None:
    manifest = make(tmp_path / "traces", seed=3)
    traces, read = load_traces(tmp_path / "traces")
    assert read == manifest
    assert manifest["codebook_version"] == BUNDLE.codebook_version
    assert (manifest["sources"], manifest["seed"], manifest["min_events"]) == (["a file"], 3, 3)
    assert manifest["events"] == len(history())
    files = {path.name: path.read_bytes() for path in (tmp_path / "traces").iterdir()}
    del files["manifest.json"]
    assert manifest["files"] == {name: hashlib.sha256(files[name]).hexdigest() for name in files}
    about = manifest["stores"]["acme"]  # type: ignore[index]
    assert sum(about["sessions"].values()) == len(traces) == 120
    assert about["base_rates"] == {"A": 0.5, "D": 0.5}
    assert set(about["base_rates_of_splits"]) == {"train", "validation", "test"}
    assert list(tmp_path.iterdir()) == [tmp_path / "traces"]


@pytest.mark.parametrize("harm", ["traces.parquet", STORES, CODEBOOK])
def test_a_file_that_was_changed_or_is_missing_is_named(tmp_path: Path, harm: str) -> None:
    make(tmp_path / "traces")
    one_byte_changed(tmp_path / "traces" / harm)
    with pytest.raises(DatasetError, match=rf"{harm} is missing or was changed; prepare it again"):
        load_traces(tmp_path / "traces")
    (tmp_path / "traces" / harm).unlink()
    with pytest.raises(DatasetError, match=rf"{harm} is missing or was changed; prepare it again"):
        load_traces(tmp_path / "traces")


def test_traces_are_those_of_the_whole_history_at_once(tmp_path: Path) -> None:
    make(tmp_path / "traces")
    traces, _ = load_traces(tmp_path / "traces")
    encoder = OnnxEncoder(BUNDLE)
    at_once = make_traces([history()], lambda vectors: encoder.encode(vectors).code, min_events=3, seed=0)
    assert sorted(traces, key=lambda t: t.buyer) == sorted(at_once, key=lambda t: t.buyer)


def test_stores_are_learned_from_training_buyers_with_the_currency_of_their_prices(tmp_path: Path) -> None:
    priced = [
        event("product_view", m, f"b{b}", "p", price=2.0, currency="EUR") for b in range(9) for m in range(3)
    ]
    prepare([priced], BUNDLE, tmp_path / "traces", sources=[], command="test")
    stores = load_stores(tmp_path / "traces" / STORES)
    assert stores["acme"].currency == "EUR"
    traces, _ = load_traces(tmp_path / "traces")
    assert sum(stores["acme"].views) == sum(len(t.steps) - 1 for t in traces if t.split == "train")


def test_no_session_is_one_clear_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no session among 660 events has 7 events"):
        make(tmp_path / "traces", min_events=7)
    with pytest.raises(DatasetError, match="no session among 0 events"):
        prepare([], BUNDLE, tmp_path / "traces", sources=[], command="test")
    assert list(tmp_path.iterdir()) == []


def test_the_codebook_comes_along(tmp_path: Path) -> None:
    make(tmp_path / "traces")
    np.testing.assert_array_equal(np.load(tmp_path / "traces" / CODEBOOK), codebook(BUNDLE))


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    make(tmp_path / "traces")
    with pytest.raises(DatasetError, match="is there already"):
        make(tmp_path / "traces")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with full_disk(1_000), pytest.raises(OutputError, match="cannot be written"):
        make(tmp_path / "traces")
    assert list(tmp_path.iterdir()) == []
