"""Versions of the persona LLM: registered once, promoted and rolled back, compared through the alignment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ops.errors import ModelsError
from ops.llm.models import LlmModels
from tests.inference.made_bundles import make_bundle
from training.errors import CodebookError, ExportError, GateError, RegistryError
from training.lifecycle.registry import ALIGNMENT, Registry
from training.persona_llm.lifecycle.gate_settings import LlmGateSettings
from training.persona_llm.lifecycle.gates import gate_traces, measure
from training.persona_llm.lifecycle.registry import LlmRegistry
from training.persona_llm.model.folder import MANIFEST, load_llm, read_manifest
from training.persona_llm.traces.traces import load_traces


def relabelled(folder: Path, out: Path, **changes: Any) -> Path:
    """The same model under another name, of another codebook, of other buyers."""
    shutil.copytree(folder, out)
    manifest = msgspec.structs.replace(read_manifest(folder), **changes)
    (out / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return out


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> LlmModels:
    home = tmp_path_factory.mktemp("home")
    return LlmModels(LlmRegistry(home / "registry"), Registry(home / "registry"), home)


def test_a_model_is_registered_once_with_its_lineage(models: LlmModels, llm_folder: Path) -> None:
    version = models.find(str(llm_folder))
    manifest = read_manifest(llm_folder)
    assert models.find(str(llm_folder)) == version
    for name in ("model_version", "traces_sha256", "encoder_sha256"):
        assert version.tags[name] == getattr(manifest, name)
    assert version.codebook_version == manifest.codebook_version
    assert version.figures["seconds"] == manifest.seconds
    assert models.registry.version(manifest.model_version).number == version.number
    loaded = models.load(version)
    assert loaded.manifest == manifest
    assert models.encoders.versions() == [], "encoders are another model of the same registry"


def test_a_training_is_tracked_without_being_a_version(models: LlmModels, llm_folder: Path) -> None:
    manifest = msgspec.structs.replace(read_manifest(llm_folder), model_version="tracked")
    before = len(models.registry.versions())
    models.registry.track(manifest)
    client, experiment = models.registry._client, models.registry._experiment
    (run,) = client.search_runs([experiment], "tags.model_version = 'tracked'")
    assert run.data.params["seed"] == "0"
    assert run.data.metrics["validation_loss"] == pytest.approx(manifest.losses[-1])
    assert run.data.tags["traces_sha256"] == manifest.traces_sha256
    assert len(models.registry.versions()) == before


def test_promotion_and_rollback(models: LlmModels, llm_folder: Path, tmp_path: Path) -> None:
    first = models.find(str(llm_folder))
    second = models.find(str(relabelled(llm_folder, tmp_path / "second", model_version="second")))
    assert models.champion() is None
    models.promote(first, over=None)
    models.promote(second, over=first)
    models.promote(second, over=first)  # told again: nothing happens
    champion = models.champion()
    assert champion is not None
    assert champion.tags["replaced"] == str(first.number)
    with pytest.raises(ModelsError, match="in use is version 2 now, not 7"):
        models.promote(first, over=second._replace(number=7))
    before, now = models.rollback()
    assert (before.number, now.number) == (second.number, first.number)
    with pytest.raises(ModelsError, match="nothing to roll back to"):
        models.rollback()


def test_a_home_that_cannot_be_written_is_said(models: LlmModels, llm_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    here = LlmModels(models.registry, models.encoders, tmp_path / "home")
    with pytest.raises(ModelsError, match=r"home/llm cannot be written: Not a directory"):
        here.promote(models.find(str(llm_folder)), over=models.champion())


def test_what_is_no_version_or_no_model_is_named(models: LlmModels, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no version nonsense"):
        models.find("nonsense")
    with pytest.raises(ExportError, match="is no persona LLM"):
        models.find(str(tmp_path))


def test_a_model_of_another_codebook_is_compared_through_the_alignment_or_not_at_all(
    models: LlmModels, llm_folder: Path, tmp_path: Path
) -> None:
    candidate = load_llm(llm_folder)
    now = candidate.manifest.codebook_version
    traces = llm_folder.with_name("traces")
    older = load_llm(relabelled(llm_folder, tmp_path / "older", codebook_version="older"))
    with pytest.raises(CodebookError, match="no alignment between them"):
        models.compare(candidate, older, traces, 0)

    rows = [{"old": c, "new": c, "status": "kept", "successor": c, "shared": 1.0} for c in range(256)]
    alignment = tmp_path / ALIGNMENT
    alignment.write_text(json.dumps({"from": "older", "to": now, "codes": rows}))
    models.encoders.register(
        make_bundle(tmp_path / "bundle", 1, now), extras={ALIGNMENT: alignment}, figures={}, tags={}
    )
    theirs, ours = models.compare(candidate, older, traces, 0)
    assert theirs == ours, "the same weights under an alignment that moves no code"


def test_the_first_model_is_measured_alone(models: LlmModels, llm_folder: Path) -> None:
    champion, ours = models.compare(load_llm(llm_folder), None, llm_folder.with_name("traces"), 0)
    assert champion is None
    assert 0 < ours.ara <= 1


def test_each_is_judged_with_tokens_of_its_own_kind(models: LlmModels, llm_folder: Path) -> None:
    prepared = llm_folder.with_name("traces")
    candidate = load_llm(llm_folder)
    early = msgspec.structs.replace(candidate.manifest, config=candidate.manifest.config | {"kind": "early"})
    theirs, ours = models.compare(candidate, candidate._replace(manifest=early), prepared, 0)
    both = gate_traces(load_traces(prepared)[0], ["early", "after"], LlmGateSettings(), 0)
    assert ours == measure(candidate.base, candidate.stores, both, "after", 0)
    assert theirs == measure(candidate.base, candidate.stores, both, "early", 0)
    assert theirs != ours


@pytest.mark.parametrize(("split_seed", "by"), [(7, "the seed 7"), (None, "an unknown seed")])
def test_a_model_that_may_know_the_test_buyers_is_not_compared(
    models: LlmModels, llm_folder: Path, split_seed: int | None, by: str
) -> None:
    here = load_llm(llm_folder)
    other = here._replace(manifest=msgspec.structs.replace(here.manifest, split_seed=split_seed))
    for candidate, champion in ((here, other), (other, here)):
        with pytest.raises(GateError, match=f"were parted by {by}, not by 0"):
            models.compare(candidate, champion, llm_folder.with_name("traces"), 0)


def test_sessions_of_a_store_that_the_candidate_does_not_know_are_left_out(
    models: LlmModels, llm_folder: Path
) -> None:
    elsewhere = load_llm(llm_folder)._replace(stores={})
    with pytest.raises(GateError, match="nothing to judge models on"):
        models.compare(elsewhere, None, llm_folder.with_name("traces"), 0)
