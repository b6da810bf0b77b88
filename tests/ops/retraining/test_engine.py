"""The rules of a retrain, on steps that cost nothing: killed at every boundary, it goes on."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from ops.errors import ChampionChangedError, ModelsError
from ops.retraining.encoder import EncoderSteps
from ops.retraining.engine import Kind, retrain
from ops.retraining.llm import LlmSteps
from ops.retraining.run_state import Order, Run
from training.errors import DatasetError, GateError, RegistryError, RetrainError

STEPS = ("snapshot", "train", "align", "evaluate", "gate", "publish", "shadow", "promote")
PLACES = ("before", "after")
"""Where in a step a process dies: before it did anything, or done and not yet marked so."""


class KilledError(BaseException):
    """Nothing catches it, as nothing survives a SIGKILL."""


class Shop:
    """An installation whose steps write one line each. A step that was killed may have done its work."""

    def __init__(self, home: Path) -> None:
        self.home, self.champion, self.ended = home, "old", 0
        self.did: list[str] = []
        self.dies: tuple[str, str] | None = None
        self.fails: dict[str, list[BaseException]] = {}
        self.refused: str | None = None

    def kind(self) -> Kind:
        return Kind(
            steps={step: self.step(step) for step in STEPS},
            command="simpersona retrain",
            doing="a retrain",
            champion="the champion",
            compares_from="align",
            on_champion_changed=lambda: self.did.append("champion changed"),
            on_end=self.note_end,
        )

    def note_end(self) -> None:
        self.ended += 1

    def step(self, name: str) -> Any:
        def do(run: Run) -> dict[str, Any]:
            assert [*run.state.done] == list(STEPS[: STEPS.index(name)])
            if self.dies == (name, "before"):
                raise KilledError
            if failures := self.fails.get(name):
                raise failures.pop(0)
            self.did.append(name)
            if name == "promote" and run.state.order.promote:
                self.champion = "new"
            if self.dies == (name, "after"):
                raise KilledError
            return {"gate": {"refused": self.refused}, "publish": {"version": 2}}.get(name, {})

        return do

    def retrain(self, *, restart: bool = False, **ordered: Any) -> Run:
        return retrain(self.kind(), self.home / "retrain", Order(**ordered), restart=restart)

    def states(self) -> list[dict[str, Any]]:
        paths = sorted((self.home / "retrain").glob("*/state.json"))
        return [json.loads(path.read_bytes()) for path in paths]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_both_kinds_have_steps_that_the_rules_can_hold_on_to(tmp_path: Path) -> None:
    unused: Any = None
    encoder = EncoderSteps(unused, tmp_path, unused, unused).kind()
    llm = LlmSteps(unused, unused, tmp_path, unused).kind()
    assert tuple(encoder.steps) == STEPS
    assert tuple(llm.steps) == ("snapshot", "prepare", "train", "evaluate", "gate", "publish", "promote")
    for kind in (encoder, llm):
        steps = list(kind.steps)
        assert (
            steps.index("train")
            < steps.index(kind.compares_from)
            < steps.index("gate")
            < steps.index("publish")
        )
        assert steps[-1] == "promote"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("step", STEPS)
def test_a_retrain_that_is_killed_goes_on_with_the_step_in_which_it_died(
    step: str, place: str, shop: Shop
) -> None:
    shop.dies = (step, place)
    with pytest.raises(KilledError):
        shop.retrain(reason="first")
    assert shop.champion == ("new" if (step, place) == ("promote", "after") else "old")
    assert shop.ended == 0
    before, shop.did, shop.dies = shop.did, [], None
    run = shop.retrain(reason="another order")
    assert before == list(STEPS[: STEPS.index(step) + (place == "after")])
    assert shop.did == list(STEPS[STEPS.index(step) :])
    assert (run.state.outcome, run.state.order.reason) == ("promoted", "first")
    assert (shop.champion, shop.ended, len(shop.states())) == ("new", 1, 1)


def test_a_retrain_that_is_killed_in_every_step_still_comes_to_its_end(shop: Shop) -> None:
    for step in STEPS:
        for place in PLACES:
            shop.dies = (step, place)
            with pytest.raises(KilledError):
                shop.retrain()
            assert step not in shop.states()[-1]["done"]
    shop.dies = None
    assert shop.retrain().state.outcome == "promoted"
    assert len(shop.states()) == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_is_one_line_and_the_run_stays(step: str, shop: Shop) -> None:
    shop.fails[step] = [OSError(errno.ENOSPC, "No space left on device")]
    said = rf"step {step} of run .*: No space left on device; the champion stays, and `simpersona retrain`"
    with pytest.raises(RetrainError, match=said):
        shop.retrain()
    assert (shop.champion, shop.ended) == ("old", 0)
    assert shop.retrain().state.outcome == "promoted"
    assert shop.did == list(STEPS)


@pytest.mark.parametrize(
    "failure", [ModelsError("the home cannot be written"), RegistryError("MLflow is away")]
)
def test_a_registry_that_cannot_be_written_is_said_once_and_the_run_stays(
    failure: Exception, shop: Shop
) -> None:
    shop.fails["promote"] = [failure] * 3
    for _ in range(3):
        with pytest.raises(type(failure), match=str(failure)):
            shop.retrain()
    assert shop.did == list(STEPS[:-1]), "nothing is done twice for it"
    assert shop.retrain().state.outcome == "promoted"


def test_data_that_makes_no_model_ends_the_run(shop: Shop) -> None:
    shop.fails["train"] = [DatasetError("20 buyers cannot fill 256 codes")]
    with pytest.raises(DatasetError):
        shop.retrain()
    assert shop.states()[0]["outcome"] == "failed"
    assert shop.ended == 1
    assert shop.retrain().state.outcome == "promoted"
    assert len(shop.states()) == 2


def test_another_champion_meanwhile_is_compared_with_anew(shop: Shop) -> None:
    shop.fails["promote"] = [ChampionChangedError("the champion is version 3 now")]
    assert shop.retrain().state.outcome == "promoted"
    align = STEPS.index("align")
    assert shop.did == [*STEPS[:-1], "champion changed", *STEPS[align:]]


def test_a_refused_candidate_is_registered_and_not_promoted(shop: Shop) -> None:
    shop.refused = "purity 0.5"
    with pytest.raises(GateError, match=r"version 2 is not promoted, .* than the champion: purity 0\.5"):
        shop.retrain()
    assert shop.did == list(STEPS[: STEPS.index("publish") + 1])
    assert [(state["outcome"], state["why"]) for state in shop.states()] == [("refused", "purity 0.5")]
    assert (shop.champion, shop.ended) == ("old", 1)


def test_a_refusal_is_kept_where_the_process_dies_before_it_can_be_said(shop: Shop) -> None:
    shop.refused, shop.dies = "purity 0.5", ("publish", "after")
    with pytest.raises(KilledError):
        shop.retrain()
    shop.dies = None
    with pytest.raises(GateError, match="worse than the champion"):
        shop.retrain()
    assert shop.champion == "old"


def test_a_restart_gives_the_interrupted_run_up(shop: Shop) -> None:
    shop.dies = ("align", "before")
    with pytest.raises(KilledError):
        shop.retrain(reason="first")
    shop.dies = None
    assert shop.retrain(restart=True, reason="second").state.order.reason == "second"
    assert [state["outcome"] for state in shop.states()] == ["abandoned", "promoted"]


def test_a_version_that_is_not_to_be_promoted_stays_the_candidate(shop: Shop) -> None:
    assert shop.retrain(promote=False).state.outcome == "candidate"
    assert shop.champion == "old"
