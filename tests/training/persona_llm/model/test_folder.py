"""The model folder: what was saved comes back, what was changed is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from feature_store.errors import OutputError
from inference.bundles.bundle import load_bundle, starter_bundle_path
from tests.training.lifecycle.test_registry import full_disk
from tests.training.persona_llm.models import PLAN, make_model
from training.errors import DatasetError, ExportError
from training.persona_llm.model.config import LlmConfig
from training.persona_llm.model.folder import load_llm
from training.persona_llm.model.from_traces import make_llm
from training.persona_llm.model.tokens import TOKENS
from training.persona_llm.traces.traces import load_traces


def test_a_model_comes_back_with_its_lineage(llm_folder: Path) -> None:
    model = load_llm(llm_folder)
    _, prepared = load_traces(llm_folder.with_name("traces"))
    assert model.manifest.traces_sha256 == prepared["files"]["traces.parquet"]
    assert model.manifest.codebook_version == load_bundle(starter_bundle_path()).codebook_version
    assert model.manifest.traces == 120
    assert model.manifest.split_seed == prepared["split_seed"]
    assert len(model.manifest.losses) == sum(stage.epochs for stage in PLAN)
    assert model.config.stages == PLAN
    assert model.base.plans
    assert sorted(model.stores) == ["acme"]
    ids = model.base.tokenizer.convert_tokens_to_ids(list(TOKENS))
    assert len(set(ids)) == 256
    assert not model.base.model.training


def test_the_same_seed_makes_the_same_weights(llm_folder: Path, tmp_path: Path) -> None:
    again = load_llm(make_model(tmp_path))
    first = load_llm(llm_folder)
    days_left_out = [model.manifest.model_version.split(".")[1] for model in (first, again)]
    assert days_left_out[0] == days_left_out[1]
    ours, theirs = first.base.model.state_dict(), again.base.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_low_rank_adapters_are_merged_into_plain_weights(tmp_path: Path) -> None:
    model = load_llm(make_model(tmp_path, lora_rank=2, stages=(PLAN[1].model_copy(update={"epochs": 1}),)))
    assert not [name for name, _ in model.base.model.named_parameters() if "lora" in name]


@pytest.mark.parametrize("harm", ["stores.json", "model.safetensors"])
def test_a_changed_or_missing_file_is_refused(llm_folder: Path, tmp_path: Path, harm: str) -> None:
    shutil.copytree(llm_folder, tmp_path / "model")
    path = tmp_path / "model" / harm
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ExportError, match=f"{harm} is missing or was changed"):
        load_llm(tmp_path / "model")
    path.unlink()
    with pytest.raises(ExportError, match=f"{harm} is missing or was changed"):
        load_llm(tmp_path / "model")


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is no persona LLM .* make one by `simpersona llm train`"):
        load_llm(tmp_path)


def test_a_model_is_not_written_over_and_a_folder_without_traces_is_named(
    llm_folder: Path, tmp_path: Path
) -> None:
    config = LlmConfig(stages=PLAN)
    with pytest.raises(ExportError, match="is there already"):
        make_llm(llm_folder.with_name("traces"), config, llm_folder, command="test")
    with pytest.raises(DatasetError, match="holds no traces"):
        make_llm(tmp_path, config, tmp_path / "model", command="test")


@pytest.mark.parametrize("checkpoint_steps", [1, 1_000])
def test_a_full_disk_is_one_line_and_leaves_no_model(
    llm_folder: Path, tmp_path: Path, checkpoint_steps: int
) -> None:
    config = LlmConfig(stages=PLAN[:1], batch_size=64, checkpoint_steps=checkpoint_steps)
    with full_disk(100_000), pytest.raises(OutputError, match=r"(model|checkpoint) cannot be written"):
        make_llm(llm_folder.with_name("traces"), config, tmp_path / "model", command="test")
    assert list(tmp_path.iterdir()) == []


def test_token_rows_start_from_the_codes_that_the_traces_came_with(llm_folder: Path, tmp_path: Path) -> None:
    prepared = shutil.copytree(llm_folder.with_name("traces"), tmp_path / "traces")
    config = LlmConfig(stages=PLAN[:1], batch_size=64, token_rows="codes")
    made = make_llm(prepared, config, tmp_path / "model", command="test")
    at_random = make_llm(
        prepared, config.model_copy(update={"token_rows": "random"}), tmp_path / "other", command="test"
    )
    assert made.model_version != at_random.model_version
    (prepared / "codebook.npy").unlink()
    with pytest.raises(DatasetError, match=r"codebook\.npy is missing or was changed; prepare it again"):
        make_llm(prepared, config, tmp_path / "third", command="test")


def test_a_store_that_the_model_does_not_know_is_named(llm_folder: Path) -> None:
    with pytest.raises(ExportError, match=r"knows no store 'other' \(it has: acme\)"):
        load_llm(llm_folder).store("other")
