"""What `simpersona retrain` does around its steps, and what its own steps leave where they are killed."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from feature_store.errors import EventSourceError
from feature_store.sources.writer import write_events
from inference.bundles.bundle import load_bundle, starter_bundle_path
from ops.cli.encoder.retrain import retrain as command
from ops.models import Models
from ops.retraining.encoder import retrain_encoder
from ops.retraining.request import REQUEST, read_request
from ops.retraining.run_state import Order, Run
from ops.traffic import TrafficConfig, generate
from tests.crashing_retrain import LENIENT, MIDWAY, STEPS, die_at, retrain_at
from tests.ops.retraining.archives import write_archive
from training.errors import DatasetError, GateError, RetrainError
from training.lifecycle.registry import Registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("home") / "registry")


def ask(home: Path, at: str = "2026-11-24T03:00:00+00:00") -> None:
    content = json.dumps({"requested_at": at, "reason": "type of store a has drifted", "store": "a"}).encode()
    (home / REQUEST).write_bytes(content)


def start(registry: Registry, home: Path, *paths: Path, **named: Any) -> Run:
    models = Models(registry, home, None)
    order = Order(paths=tuple(map(str, paths)))
    return retrain_encoder(models, home, lambda _key: None, order, restart=named.get("restart", False))


def few_buyers(folder: Path) -> Path:
    path = folder / "few.ndjson"
    write_events(path, generate(TrafficConfig(buyers=20, stores=1), 3))
    return path


def test_nothing_happens_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPERSONA_HOME", str(tmp_path))
    result = CliRunner().invoke(command, ["--if-requested", "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"outcome": "not requested"}
    assert list(tmp_path.iterdir()) == []


def test_a_request_says_why(tmp_path: Path) -> None:
    assert read_request(tmp_path) is None
    ask(tmp_path)
    request = read_request(tmp_path)
    assert request is not None
    assert request.store == "a"
    assert request.why == "asked for at 2026-11-24T03:00:00+00:00: type of store a has drifted"


@pytest.mark.parametrize("content", ["", "[]", '{"reason": "no time"}'])
def test_a_file_that_is_no_request_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / REQUEST).write_text(content)
    with pytest.raises(RetrainError, match=r"retrain-request\.json is no request"):
        read_request(tmp_path)


def test_data_that_makes_no_encoder_ends_the_run_and_answers_the_request(
    registry: Registry, tmp_path: Path
) -> None:
    ask(tmp_path)
    with pytest.raises(DatasetError, match="20 buyers cannot fill 256 codes"):
        start(registry, tmp_path, few_buyers(tmp_path))
    assert Run.unfinished(tmp_path / "retrain", STEPS) is None
    assert not (tmp_path / REQUEST).exists()
    champion = registry.holder("champion")
    assert champion is not None
    assert champion.number == 1


def test_an_archive_without_events_ends_the_run(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(EventSourceError, match="holds no events; run `simpersona archive`"):
        start(registry, tmp_path)
    assert Run.unfinished(tmp_path / "retrain", STEPS) is None


def test_a_full_disk_is_one_line_and_the_run_stays(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ask(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("ops.retraining.snapshots.write_whole", full)
        said = r"step snapshot of run .* failed: No space left on device; the champion stays"
        with pytest.raises(RetrainError, match=said):
            start(registry, tmp_path, few_buyers(tmp_path))
    interrupted = Run.unfinished(tmp_path / "retrain", STEPS)
    assert interrupted is not None
    assert interrupted.next_step() == "snapshot"
    assert (tmp_path / REQUEST).exists()
    with pytest.raises(DatasetError):  # the disk has room again: the same run goes on, to what it finds
        start(registry, tmp_path)
    assert len(list((tmp_path / "retrain").glob("*/state.json"))) == 1


def test_a_restart_gives_the_interrupted_run_up(registry: Registry, tmp_path: Path) -> None:
    interrupted = Run.begin(tmp_path / "retrain", Order(reason="interrupted"), STEPS)
    with pytest.raises(DatasetError):
        start(registry, tmp_path, few_buyers(tmp_path), restart=True)
    states = [json.loads(path.read_bytes()) for path in (tmp_path / "retrain").glob("*/state.json")]
    assert {state["run"]: state["outcome"] for state in states}[interrupted.state.run] == "abandoned"
    assert sorted(state["outcome"] for state in states) == ["abandoned", "failed"]


class KilledError(BaseException):
    """Nothing catches it, as nothing survives a SIGKILL."""


def die() -> None:
    raise KilledError


KILLS = (
    ("align", "before the bundle is in place"),
    ("publish", "before the alias moves"),
    ("shadow", "before workers are told"),
    ("promote", "before the alias moves"),
    ("promote", "before workers are told"),
)
"""Beside these a real process is killed between epochs and in the registry (tests/faults)."""


def test_steps_that_die_midway_are_done_again_and_workers_hear_of_one_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in LENIENT.items():
        monkeypatch.setenv(name, value)
    write_archive(tmp_path, 400, 3)
    starter = load_bundle(starter_bundle_path()).codebook_version
    registry = Registry(tmp_path / "registry")
    for step, point in KILLS:
        with monkeypatch.context() as patch:
            die_at(patch, lambda: Run.unfinished(tmp_path / "retrain", STEPS), step, MIDWAY[point], die)
            with pytest.raises(KilledError):
                retrain_at(tmp_path)
        run = Run.unfinished(tmp_path / "retrain", STEPS)
        assert run is not None
        assert run.next_step() == step, point
        moved = (step, point) == ("promote", "before workers are told")
        assert (registry.version("champion").codebook_version == starter) is not moved, point
    assert retrain_at(tmp_path).state.outcome == "promoted"

    assert len(list((tmp_path / "retrain").glob("*/state.json"))) == 1, "every rerun went on with it"
    champion = registry.version("champion")
    bundle = load_bundle(tmp_path / "models" / champion.codebook_version)
    assert [version.codebook_version for version in registry.versions()] == [bundle.codebook_version, starter]
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert {line["bundle"] for line in told if line["kind"] == "swap"} == {str(bundle.folder)}
    assert told[-1]["kind"] == "swap"
    assert {card.status for card in bundle.catalogue.codes} <= {"kept", "new", "retired", None}
    assert {card.status for card in bundle.catalogue.codes} & {"kept", "new"}
    with registry.extra(champion, "state.pt") as weights:
        assert weights is not None, "the next retrain starts warm"


def test_a_refused_candidate_is_kept_and_the_champion_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (LENIENT | {"SIMPERSONA_GATE_LATENCY_RATIO": "0.0001"}).items():
        monkeypatch.setenv(name, value)
    write_archive(tmp_path, 400, 3)
    with pytest.raises(GateError, match=r"version 2 is not promoted, .* latency_ms"):
        retrain_at(tmp_path)
    newest, starter = Registry(tmp_path / "registry").versions()
    assert starter.aliases == ("champion",)
    assert newest.aliases == ()
    assert newest.tags["gates"].startswith("failed: ")
    assert not (tmp_path / "told").exists()
    assert Run.unfinished(tmp_path / "retrain", STEPS) is None
