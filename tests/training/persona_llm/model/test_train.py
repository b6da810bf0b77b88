"""Training on a handful of traces: tokens are learned, a kill changes nothing, the first stage moves rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from numpy.typing import NDArray

from tests.training.persona_llm.shops import event, shopping_trip
from training.errors import DatasetError
from training.persona_llm.model.base import action_line, load_base
from training.persona_llm.model.config import LlmConfig, Stage, stages
from training.persona_llm.model.plans import plan_line
from training.persona_llm.model.prompts import IGNORED, batch, example, prompt_text
from training.persona_llm.model.tokens import TOKENS, add_persona_tokens
from training.persona_llm.model.train import common_words, train_llm
from training.persona_llm.traces.traces import NO_CODE, Trace, make_traces


def traces() -> list[Trace]:
    """Code 1 buys, code 2 looks around."""
    events = []
    for i in range(60):
        looks = [event("product_view", m, f"looker-{i}", f"p{m}", category="home/chairs") for m in range(5)]
        events += shopping_trip(f"buyer-{i}") + looks

    def encode(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.where(vectors[:, -1] > 0, 1, 2).astype(np.int64)  # the mask of purchased products

    return make_traces([events], encode, min_events=3, seed=0)


TRACES = traces()


def config(**changes: object) -> LlmConfig:
    plan = (Stage(goals="mixed", trainable="all", epochs=2, learning_rate=3e-3),)
    return LlmConfig.model_validate({"stages": plan, "batch_size": 16, "checkpoint_steps": 1} | changes)


def killed(settings: LlmConfig, after: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a run that was killed after so many steps."""
    from training.persona_llm.model import train as module

    steps = 0
    learn = module._Run._learn

    def dying(run: module._Run, *arguments: object) -> None:
        nonlocal steps
        if steps == after:
            raise KeyboardInterrupt
        steps += 1
        learn(run, *arguments)  # type: ignore[arg-type]

    checkpoint = folder / "checkpoint.pt"
    with monkeypatch.context() as patch:
        patch.setattr(module._Run, "_learn", dying)
        with pytest.raises(KeyboardInterrupt):
            train_llm(TRACES, settings, resume_from=checkpoint)
    return checkpoint


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_text_goes_through_the_small_tokenizer_and_comes_back() -> None:
    base = load_base("small", seed=0)
    add_persona_tokens(base, seed=0)
    text = prompt_text("Größe & Söhne", "Buy something among bed frames.", 17) + action_line("product like")
    ids = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert base.tokenizer.decode(ids) == text
    assert base.tokenizer.convert_ids_to_tokens(ids[:1]) == [TOKENS[17]]
    assert len(base.tokenizer(action_line("product like"), add_special_tokens=False)["input_ids"]) == 1


def test_labels_lie_on_what_is_written_alone() -> None:
    base = load_base("small", seed=0)
    add_persona_tokens(base, seed=0)
    rows = [
        example(trace, 1, "neutral", base.tokenizer, given=given)
        for trace, given in [(TRACES[0], 0), (TRACES[1], 3)]
    ]
    inputs = batch(rows, int(base.tokenizer.pad_token_id), 192)
    for i, row in enumerate(rows):
        labels = inputs["labels"][i]
        assert labels[labels != IGNORED].tolist() == row.written
        assert inputs["attention_mask"][i].sum() == len(row.prompt) + len(row.written)
    said = base.tokenizer.decode(rows[0].written).splitlines()
    assert said == TRACES[0].actions
    assert base.tokenizer.decode(rows[1].written).splitlines() == TRACES[1].actions[3:]
    assert prompt_text("acme", "x", NO_CODE).startswith("shop: acme")
    planned = example(TRACES[0], 1, "neutral", base.tokenizer, given=3, plan=plan_line(TRACES[0].actions[3:]))
    written = [base.tokenizer.decode([token]) for token in planned.written]
    assert "".join(written[:2]) == plan_line(TRACES[0].actions[3:])
    assert [line.strip() for line in written[2:]] == TRACES[0].actions[3:]


def test_tokens_that_start_from_code_vectors_are_alike_where_the_codes_are() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(256, 96)).astype(np.float32)
    vectors[1] = vectors[0]
    base = load_base("small", seed=0)
    ids = add_persona_tokens(base, seed=0, code_vectors=vectors)
    rows = base.model.get_input_embeddings().get_parameter("weight")[torch.from_numpy(ids)]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_the_first_stage_moves_the_rows_of_tokens_and_nothing_else() -> None:
    stage = Stage(goals="neutral", trainable="tokens", epochs=1, learning_rate=1e-2)
    training = [trace for trace in TRACES if trace.split == "train"]
    untouched = load_base("small", 0, common_words(training))
    ids = add_persona_tokens(untouched, seed=0)
    before = weights(untouched.model)
    after = weights(train_llm(TRACES, config(stages=(stage,))).base.model)
    table = "model.embed_tokens.weight"
    moved = (before[table] != after[table]).any(dim=1).nonzero().flatten().tolist()
    # Rows of codes that nobody has move as well: in a tied table they are outputs never to be said.
    assert {int(ids[1]), int(ids[2])} <= set(moved) <= set(ids.tolist())
    assert all(torch.equal(before[n], after[n]) for n in before if n not in (table, "lm_head.weight"))


def test_tokens_lower_the_loss() -> None:
    plan = (Stage(goals="mixed", trainable="all", epochs=12, learning_rate=3e-3),)
    with_tokens = train_llm(TRACES, config(stages=plan))
    assert with_tokens.losses[-1] < 0.5 * with_tokens.losses[0]


@pytest.mark.parametrize("kill_after", [1, 4, 6])
def test_a_kill_at_any_step_changes_no_weight(
    kill_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = (
        Stage(goals="neutral", trainable="tokens", epochs=1, learning_rate=1e-2),
        Stage(goals="explicit", trainable="all", epochs=1, learning_rate=3e-3),
    )
    unharmed = weights(train_llm(TRACES, config(stages=plan)).base.model)

    checkpoint = killed(config(stages=plan), kill_after, tmp_path, monkeypatch)
    resumed = weights(train_llm(TRACES, config(stages=plan), resume_from=checkpoint).base.model)
    assert all(torch.equal(unharmed[name], resumed[name]) for name in unharmed)
    assert not checkpoint.exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save({"run": "another"}, checkpoint)
    with pytest.raises(DatasetError, match="other data or settings"):
        train_llm(TRACES, config(), resume_from=checkpoint)


def test_no_trace_with_a_token_is_a_clear_error() -> None:
    with pytest.raises(DatasetError, match="no train trace has a token of the kind 'before'"):
        train_llm(TRACES, config(kind="before"))


def test_schedules_take_the_same_number_of_passes() -> None:
    for epochs in (3, 10):
        passes = {
            schedule: sum(stage.epochs for stage in stages(schedule, "small", epochs))
            for schedule in ("two-stage", "one-stage-mixed", "one-stage-explicit")
        }
        assert set(passes.values()) == {epochs}


def test_a_checkpoint_of_other_traces_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = killed(config(), 2, tmp_path, monkeypatch)
    other = [replace(trace, codes=trace.codes | {"after": 3}) for trace in TRACES]
    with pytest.raises(DatasetError, match="is of other data or settings"):
        train_llm(other, config(), resume_from=checkpoint)


def test_with_adapters_the_first_stage_moves_the_rows_of_tokens() -> None:
    stage = Stage(goals="neutral", trainable="tokens", epochs=1, learning_rate=1e-2)
    untouched = load_base("small", 0, common_words([trace for trace in TRACES if trace.split == "train"]))
    ids = add_persona_tokens(untouched, seed=0)
    trained = train_llm(TRACES, config(stages=(stage,), lora_rank=2)).base.model
    before, after = weights(untouched.model), weights(trained)
    table = "model.embed_tokens.weight"
    moved = (before[table] != after[table]).any(dim=1).nonzero().flatten().tolist()
    assert {int(ids[1]), int(ids[2])} <= set(moved) <= set(ids.tolist())
    layers = [name for name in before if "layers" in name]
    assert layers
    assert all(torch.equal(before[name], after[name]) for name in layers)
