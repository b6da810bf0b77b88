"""`simpersona train` and `simpersona encode` on generated traffic, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from feature_store.contract.identity import PlainIds
from feature_store.errors import EventSourceError, SimpersonaError
from feature_store.history.offline_fold import fold_history
from feature_store.sources.reader import open_events
from feature_store.sources.writer import write_events
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.bundles.reference import load_reference
from inference.encoders.onnx import OnnxEncoder
from ops.cli.encoder.train import train
from ops.cli.files.encode import encode
from ops.traffic import TrafficConfig, generate


@pytest.fixture(scope="session")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traffic") / "traffic.parquet"
    write_events(path, generate(TrafficConfig(buyers=600, stores=2), 3))
    return path


def run(command: object, *arguments: object) -> dict[str, object]:
    result = CliRunner().invoke(
        command,  # type: ignore[arg-type]
        [*map(str, arguments), "--json"],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout.strip().splitlines()[-1]))


def test_events_become_a_bundle_that_encodes_them(traffic: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    report = run(train, traffic, "--out", out, "--seed", 7, "--epochs", 1, "--note", "made for a test")
    manifest = load_bundle(out).manifest
    assert report["codebook_version"] == manifest.codebook_version
    assert manifest.seed == 7
    assert manifest.sources[0].startswith("traffic.parquet, ")
    assert manifest.sources[1] == "made for a test"

    encoded = run(encode, traffic, "--model", out, "--out", tmp_path / "codes.parquet")
    codes = pl.read_parquet(tmp_path / "codes.parquet")
    assert encoded["buyers"] == len(codes) == 600
    assert codes.select("store", "buyer").is_unique().all()
    assert codes["code"].n_unique() == encoded["codes_used"]
    assert (codes["token"] == "<|persona_" + codes["code"].cast(pl.String) + "|>").all()
    assert codes["codebook_version"].unique().to_list() == [manifest.codebook_version]
    bundle = load_bundle(out)
    assert set(codes["type"].to_list()) <= set(bundle.types)
    assert codes["confidence"].is_between(0.0, 1.0).all()
    assert codes["forecast_probability"].is_between(1 / len(bundle.types), 1.0).all()
    reference = load_reference(out)
    assert set(reference.stores) == set(codes["store"].unique())
    assert any(card.typical is not None for card in bundle.catalogue.codes)


def test_a_prefix_encodes_the_first_events_alone(traffic: Path, tmp_path: Path) -> None:
    run(encode, traffic, "--out", tmp_path / "early.parquet", "--prefix", 2)
    history = fold_history(open_events(traffic, identity=PlainIds()).batches(), prefix=2)
    expected = OnnxEncoder(load_bundle(starter_bundle_path())).encode(history.vectors())
    early = pl.read_parquet(tmp_path / "early.parquet")
    assert list(early.select("store", "buyer").iter_rows()) == history.buyers
    assert early["code"].to_list() == expected.code.tolist()
    run(encode, traffic, "--out", tmp_path / "late.parquet")
    late = pl.read_parquet(tmp_path / "late.parquet")
    assert (early["code"] != late["code"]).any()


def test_an_existing_bundle_is_refused_before_training(traffic: Path, tmp_path: Path) -> None:
    with pytest.raises(SimpersonaError, match="is there already"):
        run(train, traffic, "--out", tmp_path)


def test_too_few_buyers(tmp_path: Path) -> None:
    path = tmp_path / "few.ndjson"
    write_events(path, generate(TrafficConfig(buyers=20, stores=1), 3))
    with pytest.raises(SimpersonaError, match="20 buyers cannot fill 256 codes"):
        run(train, path, "--out", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_file_without_events(tmp_path: Path) -> None:
    path = tmp_path / "empty.ndjson"
    path.write_text("")
    with pytest.raises(EventSourceError, match="holds no records"):
        run(train, path, "--out", tmp_path / "bundle")


def test_the_starter_bundle_fits_this_code() -> None:
    bundle = load_bundle(starter_bundle_path())
    assert sum(file.stat().st_size for file in bundle.folder.iterdir()) < 2_000_000
    evaluation = json.loads((bundle.folder / "evaluation.json").read_text())
    assert evaluation["parity"]["codes_that_differ_between_batch_sizes"] == 0
    assert evaluation["perplexity"] > 60
