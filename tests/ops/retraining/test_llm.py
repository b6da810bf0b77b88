"""What a retrain of the persona LLM does around its steps, and what they leave where they are killed."""

from __future__ import annotations

import errno
import json
import shutil
from functools import partial
from pathlib import Path

import msgspec
import pytest

from feature_store.sources.writer import write_events
from inference.bundles.bundle import load_bundle, starter_bundle_path
from ops.errors import ModelsError
from ops.llm.models import LlmModels
from ops.retraining.llm import retrain_llm
from ops.retraining.run_state import Order, Run
from tests.crashing_retrain import LLM_MIDWAY, die_at, retrain_llm_at
from tests.crashing_retrain import LLM_STEPS as STEPS
from tests.training.persona_llm.models import history
from training.errors import DatasetError, GateError, RetrainError
from training.lifecycle.registry import Registry
from training.persona_llm.lifecycle.registry import LlmRegistry
from training.persona_llm.model.folder import MANIFEST, read_manifest
from training.persona_llm.traces.traces import load_traces


class Shop:
    """An installation and its history."""

    def __init__(self, home: Path) -> None:
        self.home, self.events = home, home / "events.ndjson"
        self.models = LlmModels(LlmRegistry(home / "registry"), Registry(home / "registry"), home)

    def retrain(self, *, restart: bool = False, promote: bool = True, **config: object) -> Run:
        order = Order(paths=(str(self.events),), config=config, promote=promote)
        encoder = load_bundle(starter_bundle_path())
        return retrain_llm(self.models, encoder, self.home, lambda _key: None, order, restart=restart)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    write_events(tmp_path / "events.ndjson", [history()])
    return Shop(tmp_path)


def test_a_worse_candidate_is_kept_and_the_one_in_use_stays(shop: Shop) -> None:
    first = shop.retrain(schedule="one-stage-mixed", epochs=20)
    assert first.state.outcome == "promoted"
    assert first.state.done["gate"] == {"refused": None, "gates": ["ara", "failed_runs"]}
    with pytest.raises(GateError, match=r"version 2 is not promoted, it is worse .* failed_runs"):
        shop.retrain(schedule="one-stage-mixed", epochs=1)
    worse, champion = shop.models.registry.versions()
    assert (worse.aliases, champion.aliases) == ((), ("champion",))
    assert worse.tags["gates"].startswith("failed: ")
    assert worse.figures["failed_runs"] > champion.figures["failed_runs"]
    assert Run.unfinished(shop.home / "llm-retrain", STEPS) is None


def test_a_candidate_waits_where_promotion_is_not_asked_for(shop: Shop) -> None:
    run = shop.retrain(schedule="one-stage-mixed", epochs=1, promote=False)
    assert run.state.outcome == "candidate"
    assert shop.models.registry.version("candidate").number == run.state.done["publish"]["version"]
    assert shop.models.champion() is None
    lineage = shop.models.registry.version("candidate").tags
    assert lineage["traces_sha256"] == run.state.done["prepare"]["traces_sha256"]


@pytest.fixture
def _anything_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPERSONA_LLM_GATE_ARA_LOSS", "1")
    monkeypatch.setenv("SIMPERSONA_LLM_GATE_FAILED_RISE", "1")


@pytest.mark.usefixtures("_anything_passes")
def test_the_seed_is_of_the_training_and_moves_no_buyer(shop: Shop) -> None:
    runs = [shop.retrain(schedule="one-stage-mixed", epochs=1, seed=seed) for seed in (0, 5)]
    first, second = ({(t.buyer, t.split) for t in load_traces(run.folder / "traces")[0]} for run in runs)
    assert first == second
    assert len(shop.models.registry.versions()) == 2, "other weights"


@pytest.mark.usefixtures("_anything_passes")
def test_the_kind_of_the_model_in_use_is_kept_unless_another_is_asked_for(shop: Shop) -> None:
    again = [
        msgspec.structs.replace(e, event_id=f"{e.event_id}-2", timestamp=e.timestamp + 86_400_000)
        for e in history()
    ]
    write_events(shop.events, [history(), again])  # a second visit: what came before it is known
    kinds = []
    for asked in ({"kind": "before"}, {}, {"kind": "after"}):
        run = shop.retrain(schedule="one-stage-mixed", epochs=1, seed=len(kinds), **asked)
        kinds.append(read_manifest(run.folder / "model").config["kind"])
    assert kinds == ["before", "before", "after"]


def test_a_model_in_use_that_cannot_be_judged_is_said_before_the_training(
    shop: Shop, llm_folder: Path
) -> None:
    shutil.copytree(llm_folder, shop.home / "other")
    manifest = msgspec.structs.replace(read_manifest(llm_folder), split_seed=7)
    (shop.home / "other" / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    shop.models.promote(shop.models.find(str(shop.home / "other")), over=None)
    with pytest.raises(GateError, match="were parted by the seed 7, not by 0"):
        shop.retrain()
    (state,) = (json.loads(path.read_bytes()) for path in (shop.home / "llm-retrain").glob("*/state.json"))
    assert state["outcome"] == "failed"
    assert "train" not in state["done"]


def test_data_that_makes_no_model_ends_the_run(shop: Shop) -> None:
    write_events(shop.events, [history()[:2]])
    with pytest.raises(DatasetError, match="no session among 2 events"):
        shop.retrain()
    assert Run.unfinished(shop.home / "llm-retrain", STEPS) is None


def test_a_full_disk_is_one_line_and_the_run_stays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("ops.retraining.snapshots.write_whole", full)
        said = r"step snapshot of run .* No space left on device; .* `simpersona llm retrain` goes on"
        with pytest.raises(RetrainError, match=said):
            shop.retrain()
    interrupted = Run.unfinished(shop.home / "llm-retrain", STEPS)
    assert interrupted is not None
    write_events(shop.events, [history()[:2]])
    with pytest.raises(DatasetError):  # begun anew, on what the file holds now
        shop.retrain(restart=True)
    states = [json.loads(path.read_bytes()) for path in (shop.home / "llm-retrain").glob("*/state.json")]
    assert sorted(state["outcome"] for state in states) == ["abandoned", "failed"]


def test_a_history_in_which_nobody_goes_further_than_looking_still_makes_a_model(shop: Shop) -> None:
    write_events(shop.events, [[e for e in history() if e.type == "product_view"]])
    run = shop.retrain(schedule="one-stage-mixed", epochs=1)
    assert run.state.outcome == "promoted"
    champion = shop.models.champion()
    assert champion is not None
    assert "failed_runs" not in champion.figures, "there was no task to fail at"


class KilledError(BaseException):
    """Nothing catches it, as nothing survives a SIGKILL."""


def die() -> None:
    raise KilledError


@pytest.mark.usefixtures("_anything_passes")
def test_a_promotion_that_dies_before_the_alias_moves_is_done_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = retrain_llm_at(shop.home).state.done["publish"]["version"]
    write_events(shop.events, [history(70)])
    found = partial(Run.unfinished, shop.home / "llm-retrain", STEPS)
    with monkeypatch.context() as patch:
        die_at(patch, found, "promote", LLM_MIDWAY["before the alias moves"], die)
        with pytest.raises(KilledError):
            retrain_llm_at(shop.home)
    champion = shop.models.champion()
    assert champion is not None
    assert champion.number == first
    run = retrain_llm_at(shop.home)
    champion = shop.models.champion()
    assert champion is not None
    assert champion.number == run.state.done["publish"]["version"] != first


@pytest.mark.usefixtures("_anything_passes")
def test_a_home_that_cannot_be_written_at_the_end_is_said_once_and_the_run_stays(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retrain that took this for another model in use would judge and fail for ever."""

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ops.llm.models.sole_holder", full)
        with pytest.raises(ModelsError, match="cannot be written: No space left on device"):
            shop.retrain(schedule="one-stage-mixed", epochs=1)
    assert shop.retrain().state.outcome == "promoted"
