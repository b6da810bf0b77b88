"""What `simpersona retrain` does around its steps; the steps themselves are killed in tests/faults."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from feature_store.errors import EventSourceError
from feature_store.sources.writer import write_events
from ops.cli.retrain import retrain as command
from ops.models import Models
from ops.retrain import REQUEST, read_request, retrain
from ops.traffic import TrafficConfig, generate
from training.errors import DatasetError, RetrainError
from training.lifecycle.registry import Registry
from training.lifecycle.run_state import Order, Run


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("home") / "registry")


def ask(home: Path, at: str = "2026-11-24T03:00:00+00:00") -> bytes:
    content = json.dumps({"requested_at": at, "reason": "type of store a has drifted", "store": "a"}).encode()
    (home / REQUEST).write_bytes(content)
    return content


def start(registry: Registry, home: Path, *paths: Path, **named: Any) -> Run:
    models = Models(registry, home, None)
    order = Order(paths=tuple(map(str, paths)))
    return retrain(models, home, lambda _key: None, order, restart=named.get("restart", False))


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
    content = ask(tmp_path)
    request = read_request(tmp_path)
    assert request is not None
    assert request.content == content
    assert request.reason == "asked for at 2026-11-24T03:00:00+00:00: type of store a has drifted"


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
    assert Run.unfinished(tmp_path / "retrain") is None
    assert not (tmp_path / REQUEST).exists()
    champion = registry.holder("champion")
    assert champion is not None
    assert champion.number == 1


def test_an_archive_without_events_ends_the_run(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(EventSourceError, match="holds no events; run `simpersona archive`"):
        start(registry, tmp_path)
    assert Run.unfinished(tmp_path / "retrain") is None


def test_a_full_disk_is_one_line_and_the_run_stays(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ask(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("ops.snapshots.write_whole", full)
        said = r"step snapshot of run .* failed: No space left on device; the champion stays"
        with pytest.raises(RetrainError, match=said):
            start(registry, tmp_path, few_buyers(tmp_path))
    interrupted = Run.unfinished(tmp_path / "retrain")
    assert interrupted is not None
    assert interrupted.next_step() == "snapshot"
    assert (tmp_path / REQUEST).exists()
    with pytest.raises(DatasetError):  # the disk has room again: the same run goes on, to what it finds
        start(registry, tmp_path)
    assert len(list((tmp_path / "retrain").glob("*/state.json"))) == 1


def test_a_restart_gives_the_interrupted_run_up(registry: Registry, tmp_path: Path) -> None:
    interrupted = Run.begin(tmp_path / "retrain", Order(reason="interrupted"))
    with pytest.raises(DatasetError):
        start(registry, tmp_path, few_buyers(tmp_path), restart=True)
    states = [json.loads(path.read_bytes()) for path in (tmp_path / "retrain").glob("*/state.json")]
    assert {state["run"]: state["outcome"] for state in states}[interrupted.state.run] == "abandoned"
    assert sorted(state["outcome"] for state in states) == ["abandoned", "failed"]
