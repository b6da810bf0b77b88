"""`simpersona models` from the command line, on a registry of its own."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from feature_store.errors import SimpersonaError
from feature_store.log.config import check_connection
from feature_store.sources.writer import write_events
from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.triton_repository import build_repository, model_version
from inference.errors import BundleError
from ops.cli.encoder.models import models
from ops.errors import ModelsError
from ops.models import Models
from ops.traffic import TrafficConfig, generate
from streams.control import Shadow, Swap
from tests.inference.made_bundles import make_bundle
from tests.training.lifecycle.test_registry import one_byte_changed
from training.errors import GateError
from training.lifecycle.registry import Registry

STARTER = load_bundle(starter_bundle_path())


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traffic") / "traffic.parquet"
    write_events(path, generate(TrafficConfig(buyers=400, stores=2), 3))
    return path


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("home") / "registry")


@pytest.fixture
def home(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The registry's installation; its champion is the starter bundle again."""
    home = Path(registry._where).parent
    installed = Models(registry, home, None)
    champion = installed.champion()
    if champion.codebook_version != STARTER.codebook_version:
        registry.give("champion", registry.version(STARTER.codebook_version).number)
    monkeypatch.setenv("SIMPERSONA_HOME", str(home))
    return home


def call(*arguments: object) -> Result:
    return CliRunner().invoke(models, [*map(str, arguments), "--json"], catch_exceptions=False)


def run(*arguments: object) -> dict[str, Any]:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout.strip().splitlines()[-1]))


def aliases() -> dict[str, str]:
    listed = run("list")["versions"]
    return {alias: it["codebook_version"] for it in listed for alias in it["aliases"]}


def test_a_worse_version_is_refused_and_the_champion_stays(home: Path, traffic: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "worse", 1, "worse.1")
    with pytest.raises(GateError, match=r"worse than the champion \(version 1\): .*changed_codes 1 "):
        call("promote", bundle.folder, "--data", traffic, "--no-announce")
    assert aliases()["champion"] == STARTER.codebook_version
    refused = run("list")["versions"][0]
    assert refused["codebook_version"] == "worse.1"
    assert refused["figures"]["changed_codes"] == 1
    assert not (home / "models" / "worse.1").exists()


def test_force_promotes_it_and_is_recorded(home: Path, traffic: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "forced", 2, "forced.1")
    said = run(
        "promote", bundle.folder, "--data", traffic, "--no-announce", "--force", "--reason", "a new shop"
    )
    assert {gate["gate"] for gate in said["gates"] if not gate["passed"]} >= {"changed_codes"}
    assert aliases() == {"champion": "forced.1"}
    forced = said["champion"]["tags"]["forced"]
    assert "a new shop" in forced
    assert "changed_codes 1" in forced
    assert load_bundle(home / "models" / "forced.1").manifest == bundle.manifest

    back = run("rollback", "--no-announce")
    assert back["champion"]["codebook_version"] == STARTER.codebook_version
    assert aliases() == {"champion": STARTER.codebook_version}
    with pytest.raises(ModelsError, match="nothing to roll back to"):
        call("rollback", "--no-announce")


def test_what_is_promoted_answers_here_until_it_is_rolled_back(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path / "first", 4, "first.1")
    said = run("promote", bundle.folder, "--no-announce", "--force", "--reason", "no shopper yet")
    assert said["gates"] == []
    assert "not compared" in said["champion"]["tags"]["forced"]
    # A promotion is later than a setting, for commands as for workers.
    monkeypatch.setenv("SIMPERSONA_ENCODER_BUNDLE", str(STARTER.folder))
    assert active_bundle() == home / "models" / "first.1"
    run("rollback", "--no-announce")
    assert load_bundle(active_bundle()).codebook_version == STARTER.codebook_version


def test_without_force_there_must_be_history(home: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "unmeasured", 5, "unmeasured.1")
    with pytest.raises(ModelsError, match="simpersona archive"):
        call("promote", bundle.folder, "--no-announce")


def test_the_champion_is_told_again_without_gates(home: Path) -> None:
    said = run("promote", "champion", "--no-announce")
    assert said["gates"] == []
    assert (home / "models" / STARTER.codebook_version / "manifest.json").exists()


def test_workers_hear_of_every_move_after_the_bundle_lies_there(
    registry: Registry, home: Path, tmp_path: Path
) -> None:
    told: list[Swap | Shadow] = []

    def hear(command: Swap | Shadow) -> None:
        if command.bundle is not None:
            load_bundle(Path(command.bundle))
        told.append(command)

    installed = Models(registry, home, hear)
    version = installed.find(str(make_bundle(tmp_path / "next", 3, "next.1").folder))
    installed.shadow(version)
    assert aliases()["candidate"] == "next.1"
    installed.shadow(None)
    installed.promote(version)
    assert aliases() == {"champion": "next.1"}
    installed.rollback()
    folder, starter = str(home / "models" / "next.1"), str(home / "models" / STARTER.codebook_version)
    assert told == [Shadow(bundle=folder), Shadow(bundle=None), Swap(bundle=folder), Swap(bundle=starter)]


def test_a_move_that_workers_did_not_hear_of_is_finished_by_making_it_again(
    registry: Registry, home: Path, tmp_path: Path
) -> None:
    def deaf(_command: Swap | Shadow) -> None:
        raise SimpersonaError("Kafka is away")

    version = Models(registry, home, None).find(str(make_bundle(tmp_path / "unheard", 4, "unheard.1").folder))
    with pytest.raises(SimpersonaError, match="Kafka is away"):
        Models(registry, home, deaf).promote(version)
    told: list[Swap | Shadow] = []
    Models(registry, home, told.append).promote(version)
    assert told == [Swap(bundle=str(home / "models" / "unheard.1"))]
    assert registry.version("champion").tags["replaced"] == "1"


def test_a_comparison_with_another_champion_is_void(registry: Registry, home: Path, tmp_path: Path) -> None:
    installed = Models(registry, home, None)
    compared = installed.champion()
    meanwhile = installed.find(str(make_bundle(tmp_path / "meanwhile", 5, "meanwhile.1").folder))
    installed.promote(meanwhile)
    late = installed.find(str(make_bundle(tmp_path / "late", 6, "late.1").folder))
    with pytest.raises(ModelsError, match="no longer 1"):
        installed.promote(late, over=compared)
    assert registry.version("champion").codebook_version == "meanwhile.1"


def test_a_bundle_with_one_byte_changed_moves_nothing(registry: Registry, home: Path, tmp_path: Path) -> None:
    told: list[Swap | Shadow] = []
    installed = Models(registry, home, told.append)
    version = installed.find(str(make_bundle(tmp_path / "broken", 7, "broken.1").folder))
    one_byte_changed(registry.lay_down(version, home / "models").folder / "model.onnx")
    with pytest.raises(BundleError, match=r"SHA-256 of model\.onnx"):
        installed.promote(version)
    assert told == []
    assert registry.version("champion").codebook_version == STARTER.codebook_version


def test_triton_gets_the_version_where_there_is_a_repository(
    registry: Registry, home: Path, tmp_path: Path
) -> None:
    repository = build_repository(STARTER, home / "triton" / "models")
    installed = Models(registry, home, None)
    bundle = make_bundle(tmp_path / "triton", 8, "triton.1")
    installed.promote(installed.find(str(bundle.folder)))
    assert (repository / "encoder" / str(model_version(bundle)) / "model.onnx").read_bytes() == bundle.model


def test_history_must_be_there(home: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "unseen", 9, "unseen.1")
    with pytest.raises(ModelsError, match="run `simpersona archive`, or name files with --data"):
        call("promote", bundle.folder, "--no-announce")


def test_without_kafka_nothing_is_moved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setattr("ops.models.check_connection", functools.partial(check_connection, timeout_s=1))
    with pytest.raises(SimpersonaError, match="Kafka at 127"):
        call("promote", "champion")


@pytest.mark.parametrize("arguments", [("shadow",), ("shadow", "1", "--off"), ("promote",)])
def test_bad_usage(home: Path, arguments: tuple[str, ...]) -> None:
    assert call(*arguments).exit_code == 2


def test_an_unknown_version(home: Path) -> None:
    with pytest.raises(SimpersonaError, match="the registry has no version 99"):
        call("promote", 99, "--no-announce")
