"""From events to an exported model by the commands alone, and one clear line for what is wrong."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from feature_store.contract.events import Event
from feature_store.errors import OutputError, SimpersonaError
from feature_store.sources.writer import write_events
from ops.cli.llm.group import llm
from studies.encoder.plan import BRIEF
from tests.training.persona_llm.shops import event
from training.persona_llm.model.folder import MANIFEST, read_manifest

PYPROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llm-home")
    write_events(folder / "events.ndjson", [shopping()])
    return folder


def shopping(buyers: int = 600) -> list[Event]:
    """Sessions that differ enough for 256 codes; one buyer in five buys."""
    random, events = np.random.default_rng(0), []
    for i in range(buyers):
        minute = 0.0
        bought = ["add_to_cart", "begin_checkout", "purchase"] if i % 5 == 0 else []
        number = 0
        for kind in ["product_view"] * int(random.integers(3, 7)) + bought:
            if kind == "product_view":
                number = int(random.integers(40))
            about = {"category": f"c{number % 6}", "price": 5.0 + number}
            events.append(event(kind, minute, f"b{i}", f"p{number}", **about))
            minute += float(random.integers(1, 40)) / 10
    return events


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPERSONA_HOME", str(home / "home"))
    monkeypatch.chdir(home)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(llm, arguments, catch_exceptions=False)


def report(*arguments: str) -> dict[str, Any]:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    # Logs go to stderr where `simpersona` is called; here nobody has configured them.
    said: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return said


# So little training leaves latents alike, and k-means says so.
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_events_become_agents_whose_sessions_are_events_again(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = report("prepare", "events.ndjson", "--out", "traces")
    assert prepared["events"] == len(shopping())
    assert len(prepared["sources"]) == 1
    trained = report("train", "traces", "--out", "model", "--epochs", "2", "--schedule", "two-stage")
    assert trained["codebook_version"] == prepared["codebook_version"]
    assert [stage["trainable"] for stage in trained["config"]["stages"]] == ["tokens", "all"]
    assert len(trained["losses"]) == 2
    simulated = report(
        "simulate",
        "--model",
        "model",
        "--store",
        "acme",
        "-n",
        "30",
        "--out",
        "sim.parquet",
        "--events",
        "sim.ndjson",
    )
    assert sum(simulated["ends"].values()) == simulated["n"] == 30
    looped = report("loop", "sim.parquet", "--traces", "traces")
    assert looped["runs"] == 30
    assert looped["code"]["replay"]["value"] == 1.0
    assert looped["code"]["chance"] <= looped["code"]["replay"]["value"]
    for name, value in {"epochs": 3, "warmup_epochs": 2, "epoch_rows": 4096}.items():
        monkeypatch.setitem(BRIEF, name, value)  # the encoder's; the command has no say in it
    tiny = ("--seeds", "1", "--epochs", "1", "--most", "200", "--part", "in-store")
    evaluated = report("evaluate", "events.ndjson", "--out", "docs", "--work", "work", *tiny)
    assert 0 <= evaluated["in_store"]["ara"]["matched"]["value"] <= 1
    exported = report("export", "model", "--out", "hf", "--figures", "docs/evaluation-llm.json")
    assert "model.safetensors" in exported["files"]
    assert "in store: ara matched" in Path("hf/README.md").read_text()

    promoted = report("models", "promote", "model")
    assert promoted["champion"]["tags"]["model_version"] == trained["model_version"]
    assert report("models", "list")["versions"][0]["aliases"] == ["champion"]
    again = report("simulate", "--store", "acme", "-n", "30")
    assert again["ends"] == simulated["ends"], "the one in use is the same model"
    shutil.copytree("model", "same")
    manifest = msgspec.structs.replace(read_manifest(Path("model")), model_version="same")
    Path("same", MANIFEST).write_bytes(msgspec.json.encode(manifest))
    compared = report("models", "promote", "same", "--traces", "traces")
    assert [gate["gate"] for gate in compared["gates"]] == ["ara", "failed_runs"]
    assert (compared["before"], compared["champion"]["version"]) == (1, 2)
    assert report("models", "rollback")["champion"]["version"] == 1
    for name in ("prepare", "train", "simulate", "loop", "evaluate", "export", "models", "retrain"):
        assert call(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("prepare", "events.ndjson", "--out", "t", "--min-events", "99"),
            "no session among .* has 99 events",
        ),
        (("train", ".", "--out", "m"), "holds no traces"),
        (("simulate", "--model", ".", "--store", "acme"), "is no persona LLM"),
        (("simulate", "--model", "no-such", "--store", "acme"), "has no version no-such"),
        (("export", ".", "--out", "hf2"), "is no persona LLM"),
        (("loop", "events.ndjson", "--traces", "."), "holds no simulated sessions"),
        (("models", "rollback"), "nothing to roll back to"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(SimpersonaError, match=said) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("prepare", "events.ndjson", "--out"),
        ("train", "TRACES", "--out"),
        ("simulate", "--model", "MODEL", "--store", "acme", "-n", "1", "--out"),
        ("simulate", "--model", "MODEL", "--store", "acme", "-n", "1", "--events"),
        ("export", "MODEL", "--out"),
    ],
)
@pytest.mark.parametrize("where", ["events.ndjson/out.ndjson", "events.ndjson/folder/out.ndjson"])
def test_a_place_that_cannot_be_written_is_said_in_one_line(
    llm_folder: Path, arguments: tuple[str, ...], where: str
) -> None:
    folders = {"MODEL": str(llm_folder), "TRACES": str(llm_folder.with_name("traces"))}
    with pytest.raises(OutputError, match=r"out\.ndjson cannot be written: .*(no folder|Not a directory)"):
        call(*(folders.get(argument, argument) for argument in arguments), where)


def test_a_package_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.metadata.distribution

    def without(name: str) -> importlib.metadata.Distribution:
        if name in ("gguf", "mlflow"):
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without)
    result = call("simulate", "--store", "acme")
    assert result.exit_code == 2
    assert (
        "Error: mlflow, gguf not installed; this command needs: pip install 'simpersona[training,llm]'"
        in result.output
    )


def test_a_population_of_nobody_and_a_store_without_a_name_are_bad_usage() -> None:
    assert call("simulate", "--model", ".", "--store", "acme", "-n", "0").exit_code == 2
    assert call("simulate", "--model", ".", "--store", "acme", "--as-store", "a b").exit_code == 2


def test_a_base_model_that_is_not_installed_is_named(
    llm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.persona_llm.model.base.SMOLLM2_PACKAGE", "no_such_package")
    with pytest.raises(SimpersonaError, match="SmolLM2 is not installed: pip install"):
        call("train", str(llm_folder.with_name("traces")), "--out", "m", "--base", "smollm2")
