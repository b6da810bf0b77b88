"""A retrain is killed (SIGKILL) in every step: the champion stays, and the next run goes on to the end."""

from __future__ import annotations

import json
import multiprocessing
import signal
from pathlib import Path

import pytest

from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.history.archive import ArchivedEvent, write_archive_file
from inference.bundles.bundle import load_bundle, starter_bundle_path
from ops.traffic import TrafficConfig, generate
from tests.crashing_retrain import MIDWAY, run_retrain
from training.lifecycle.registry import Registry
from training.lifecycle.run_state import STEPS, Run, Step

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]  # sixteen retrains, on a machine that is busy

FORKS = multiprocessing.get_context("forkserver")  # torch and MLflow are imported once, not sixteen times
FORKS.set_forkserver_preload(["tests.crashing_retrain", "mlflow", "onnxscript"])

PARTITIONS = 2
LENIENT = {
    f"SIMPERSONA_GATE_{name}": "1"
    for name in ("PURITY_LOSS", "INCOHERENCE_RISE", "JS_RISE", "PERPLEXITY_LOSS")
} | {"SIMPERSONA_GATE_LATENCY_RATIO": "100"}


def write_archive(home: Path, buyers: int, seed: int) -> None:
    by_partition: dict[int, list[ArchivedEvent]] = {number: [] for number in range(PARTITIONS)}
    for batch in generate(TrafficConfig(buyers=buyers, stores=2), seed):
        for event in batch:
            number = partition_of(record_key(event.store, event.buyer), PARTITIONS)
            part = by_partition[number]
            part.append(ArchivedEvent(event, number, len(part), event.timestamp))
    for number, events in by_partition.items():
        write_archive_file(home / "archive", "clickstream", number, 0, len(events), events)


def retrain(home: Path, at: tuple[Step, str] | None = None, **environment: str) -> int:
    """Run a retrain in a process of its own; returns its exit code, which a kill makes negative."""
    process = FORKS.Process(target=run_retrain, args=(home, at, LENIENT | environment))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def error(home: Path) -> str:
    return (home / "error").read_text() if (home / "error").exists() else ""


def champion(home: Path) -> str:
    return Registry(home / "registry").version("champion").codebook_version


def test_the_champion_stays_and_a_rerun_goes_on(tmp_path: Path) -> None:
    write_archive(tmp_path, 400, 3)
    starter = load_bundle(starter_bundle_path()).codebook_version
    midway: dict[Step, list[str]] = {
        "train": ["between epochs"],
        "align": ["before the bundle is in place"],
        "publish": ["before the version is made", "before the alias moves"],
        "shadow": ["before workers are told"],
        "promote": ["before the alias moves", "before workers are told"],
    }
    assert {point for points in midway.values() for point in points} == set(MIDWAY)
    for step in STEPS:
        for point in (*midway.get(step, []), step):
            assert retrain(tmp_path, (step, point)) == -signal.SIGKILL, f"{point}: {error(tmp_path)}"
            run = Run.unfinished(tmp_path / "retrain")
            assert run is not None
            assert run.next_step() == step, point
            if step != "promote" or point == "before the alias moves":
                assert champion(tmp_path) == starter, point
    assert retrain(tmp_path) == 0, error(tmp_path)

    runs = list((tmp_path / "retrain").glob("*/state.json"))
    assert len(runs) == 1, "every rerun went on with the same run"
    assert json.loads(runs[0].read_bytes())["outcome"] == "promoted"
    bundle = load_bundle(tmp_path / "models" / champion(tmp_path))
    versions = Registry(tmp_path / "registry").versions()
    assert [version.codebook_version for version in versions] == [bundle.codebook_version, starter]
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    swaps = {line["bundle"] for line in told if line["kind"] == "swap"}
    assert swaps == {str(bundle.folder)}
    assert told[-1]["kind"] == "swap"
    assert {card.status for card in bundle.catalogue.codes} <= {"kept", "new", "retired", None}
    assert {card.status for card in bundle.catalogue.codes} & {"kept", "new"}
    # The weights came along: the next retrain starts warm.
    with Registry(tmp_path / "registry").extra(versions[0], "state.pt") as weights:
        assert weights is not None


def test_a_refused_candidate_is_kept_and_the_champion_stays(tmp_path: Path) -> None:
    write_archive(tmp_path, 400, 3)
    starter = load_bundle(starter_bundle_path()).codebook_version
    assert retrain(tmp_path, SIMPERSONA_GATE_LATENCY_RATIO="0.0001") == 1
    assert error(tmp_path).startswith("GateError: version 2 is not promoted")
    assert "latency_ms" in error(tmp_path)
    assert champion(tmp_path) == starter
    newest, _ = Registry(tmp_path / "registry").versions()
    assert newest.aliases == ()
    assert newest.tags["gates"].startswith("failed: ")
    assert not (tmp_path / "told").exists()
    assert Run.unfinished(tmp_path / "retrain") is None
