"""The evaluation end to end on a little generated traffic, killed on the way and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ops.cli.main import simpersona
from ops.traffic import TrafficConfig, generate
from studies.persona_llm.inputs import command_line, stores_to_hold_out
from studies.persona_llm.judged_sessions import Material
from studies.persona_llm.plan import Fit, Plan
from studies.persona_llm.report.pages import NAME, write_report
from studies.persona_llm.runs import Runs
from studies.persona_llm.study import run_evaluation
from studies.sealed_test import Choice
from training.errors import EvaluationError

# So little training leaves latents alike, and k-means says so.
pytestmark = pytest.mark.filterwarnings("ignore:Number of distinct clusters")

TINY: dict[str, Any] = {"epochs": 3, "warmup_epochs": 2, "epoch_rows": 4096, "forecast_epochs": 1}
PLAN = Plan(seeds=(0,), few_seeds=(0,), epochs=1, sampling=((1.0, 1.5),), encoder=TINY)


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def material() -> Material:
    traffic = TrafficConfig(buyers=4000, hours=48, stores=2)
    return Material.of(generate(traffic, seed=3), seed=0, most=160)


@pytest.fixture(scope="module")
def plan(material: Material) -> Plan:
    return PLAN.model_copy(update={"held_out": material.stores[:1]})


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def report(material: Material, plan: Plan, work: Path) -> dict[str, Any]:
    """Made by a run that was killed in the middle and one that went on."""

    def tell_until_killed(line: str) -> None:
        if line.startswith("run 9 of"):
            raise KilledError

    with pytest.raises(KilledError):
        run_evaluation(material, plan, work, tell_until_killed)
    kept = {path: path.stat().st_mtime_ns for path in (work / "runs").iterdir()}
    told: list[str] = []
    made = run_evaluation(material, plan, work, told.append)
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert not [line for line in told if "validation sessions" in line]  # the choice was made before
    return made


def test_the_report_has_every_figure_of_the_layout(report: dict[str, Any], tmp_path: Path) -> None:
    write_report(report | {"command": "simpersona llm evaluate x", "sources": ["x"]}, tmp_path)
    figures = json.loads((tmp_path / f"{NAME}.json").read_text())
    contenders = ("matched", "mismatched", "no_token", "never_buys", "always_buys", "base_rate")
    contenders += ("markov_store", "markov_code", "replay")
    for setting in ("in_store", "held_out"):
        for name in contenders:
            assert set(figures[setting]["ara"][name]) == {"value", "low", "high"}
            assert 0 <= figures[setting]["ara"][name]["value"] <= 1
    assert set(figures["spread_kept"]) == {"cart", "purchase"}
    assert {"token", "no_token"} <= set(figures["failed_runs"])
    assert {"code", "type"} <= set(figures["loop"])
    assert figures["device"]
    assert figures["setup"]["tasks_left"] == 0
    assert {bar["part"] for bar in figures["bars"]} == {"a", "b", "c", "e"}
    page = (tmp_path / f"{NAME}.md").read_text()
    for bar in figures["bars"]:
        assert bar["asked"] in page
    assert page.count("\n| ") > 60
    assert "nan" not in page


def test_it_can_be_made_again_of_what_is_done(
    report: dict[str, Any], material: Material, plan: Plan, work: Path
) -> None:
    again = run_evaluation(material, plan, work, lambda _: None, so_far=True)
    assert json.dumps(again["in_store"]) == json.dumps(report["in_store"])
    more = plan.model_copy(update={"seeds": (0, 1)})
    partly = run_evaluation(material, more, work, lambda _: None, so_far=True)
    assert partly["in_store"]["seeds"] == [0]
    assert partly["setup"]["tasks_left"] > 0


def test_test_buyers_are_sealed_until_the_choice_is_a_file(material: Material, tmp_path: Path) -> None:
    runs = Runs(material, TINY, tmp_path, Choice(tmp_path / "choice.json"))
    with pytest.raises(EvaluationError, match="stay closed"):
        runs.judged(Fit(tokens="trace"), "test")
    assert {one.split for one in runs.judged(Fit(tokens="trace"), "validation").traces} == {"validation"}
    assert "test" not in {one.split for one in runs.seen(Fit(tokens="trace"))}


def test_a_model_learns_nothing_of_the_store_that_is_held_out(material: Material, tmp_path: Path) -> None:
    runs = Runs(material, TINY, tmp_path, Choice(tmp_path / "choice.json"))
    left_out = material.stores[0]
    assert left_out not in {one.store for one in runs.seen(Fit(tokens="trace", held_out=left_out))}
    judged = runs.judged(Fit(tokens="trace", held_out=left_out), "validation").traces
    assert {one.store for one in judged} == {left_out}


def test_another_plans_choice_is_refused_after_test_was_seen(
    report: dict[str, Any], material: Material, plan: Plan, work: Path
) -> None:
    assert report["choice"]["opened_at"]
    with pytest.raises(EvaluationError, match="needs a new folder"):
        run_evaluation(material, plan.model_copy(update={"epochs": 2}), work, lambda _: None)


def test_a_store_without_sessions_cannot_be_held_out(material: Material, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no sessions of the store nowhere"):
        run_evaluation(material, PLAN.model_copy(update={"held_out": ("nowhere",)}), tmp_path, lambda _: None)


def test_buyers_are_drawn_the_same_and_encoders_see_all_training_buyers(material: Material) -> None:
    counts = [len({t.buyer for t in material.traces if t.store == store}) for store in material.stores]
    assert counts == [160, 160]
    trained_on = {(event.store, event.buyer) for batch in material.training_events for event in batch}
    assert len(trained_on) > len({(t.store, t.buyer) for t in material.traces if t.split == "train"})
    kinds = {kind: len(rows) for kind, (rows, _) in material.vectors.items()}
    assert kinds["after"] == len(material.traces) > kinds["early"] > 0
    assert all(np.isfinite(vectors).all() for _, vectors in material.vectors.values())


def test_the_command_names_its_files(material: Material) -> None:
    plan = PLAN.model_copy(update={"parts": ("in_store",), "base": "/somewhere/model"})
    line = command_line([Path("/secret/place/events.parquet")], plan, 100)
    assert line.startswith("simpersona llm evaluate events.parquet --base model --seeds 1")
    assert line.endswith("--part in-store --most 100")
    assert set(stores_to_hold_out(material)) <= set(material.stores)


def test_bad_usage_is_2(tmp_path: Path) -> None:
    asked = CliRunner().invoke(simpersona, ["llm", "evaluate", str(tmp_path / "nothing.parquet")])
    assert asked.exit_code == 2


def test_agents_plan_where_their_model_has_learned_to(
    report: dict[str, Any], material: Material, plan: Plan, work: Path
) -> None:
    runs = Runs(material, TINY, work / "runs", Choice(work / "choice.json"))
    plays = plan.candidates()
    assert {play.fit.config["plans"] for play in plays} == {True, False}
    for play in plays:
        assert runs.done([play]), "the study has played it"
        assert {run.plan is not None for run in runs.play(play)} == {play.fit.config["plans"]}
