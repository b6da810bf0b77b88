"""The wheel of simpersona holds what it needs, and runs where nothing else of the checkout is."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.empty_environment import ROOT, EmptyEnvironment, build_wheel, names_in

ROOMS = ("feature_store", "inference", "ops", "streams", "training")
LEFT_OUT = {
    "inference/make_starter_bundle": "makes the committed bundle, in a checkout",
    "ops/dashboards/rules_tests/api.yml": "promtool's tests of the rules",
    "ops/dashboards/rules_tests/calibration.yml": "promtool's tests of the rules",
    "ops/dashboards/rules_tests/drift.yml": "promtool's tests of the rules",
    "ops/dashboards/rules_tests/webhook.yml": "promtool's tests of the rules",
    "ops/dashboards/rules_tests/worker.yml": "promtool's tests of the rules",
}
EVENTS = [
    {"event_id": "e1", "buyer": "b1", "type": "page_view", "timestamp": 1_763_900_000_000},
    {"event_id": "e2", "buyer": "b1", "type": "product_view", "timestamp": 1_763_900_001_000},
    {"event_id": "e3", "buyer": "b2", "type": "search", "timestamp": 1_763_900_002_000},
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> EmptyEnvironment:
    return EmptyEnvironment(tmp_path_factory.mktemp("installed") / "venv", wheel, ["cpu"])


def run(installed: EmptyEnvironment, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [installed.command("simpersona"), *arguments],
        cwd=folder,
        env={"SIMPERSONA_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_rooms_files_and_no_others(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", *ROOMS], cwd=ROOT, capture_output=True, check=True)
    tracked = {name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file()}
    assert set(LEFT_OUT) <= tracked, "an exception for a file that is gone"
    assert names_in(wheel) == tracked - set(LEFT_OUT)


def test_the_rules_of_alerts_and_grafanas_files_are_in_the_wheel(wheel: Path) -> None:
    assert {
        "ops/compose/grafana/provisioning/dashboards/simpersona.yml",
        "ops/compose/kafka/server.properties",
        "ops/compose/make_secrets",
        "ops/dashboards/rules/worker.yml",
    } <= names_in(wheel)


def test_a_wheel_alone_says_its_version(installed: EmptyEnvironment, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run(installed, tmp_path, "--version") == f"simpersona, version {version}\n"


def test_a_wheel_alone_checks_and_encodes_events(installed: EmptyEnvironment, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps({"schema_version": 1, "store": "acme", **e}) + "\n" for e in EVENTS))
    checked = json.loads(run(installed, tmp_path, "events", "check", "events.ndjson", "--json"))
    assert (checked["events"], checked["invalid"]) == (3, {})
    bundle = installed.site / "inference" / "starter_bundle"
    encode = ["encode", "events.ndjson", "--model", str(bundle), "--out", "codes.parquet", "--json"]
    assert json.loads(run(installed, tmp_path, *encode))["buyers"] == 2
    assert (tmp_path / "codes.parquet").exists()


def test_a_wheel_alone_has_nothing_of_training(installed: EmptyEnvironment) -> None:
    assert {"faust-streaming", "feast", "onnxruntime", "polars"} <= installed.linked
    assert not {"torch", "mlflow", "transformers", "simpersona-client"} & installed.linked


@pytest.mark.parametrize("command", [["study"], ["llm", "evaluate"]])
def test_a_wheel_alone_says_where_the_studies_are(
    command: list[str], installed: EmptyEnvironment, tmp_path: Path
) -> None:
    done = subprocess.run(
        [installed.command("simpersona"), *command, "events.ndjson"],
        cwd=tmp_path,
        env={"SIMPERSONA_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "not part of the package; run `make setup-dev` in a checkout" in done.stderr
