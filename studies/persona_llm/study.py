"""The evaluation: material, choice on validation, runs, figures. Long, and resumable run by run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studies.engine import Tell, require_stores
from studies.persona_llm.judged_sessions import MIN_EVENTS, Material
from studies.persona_llm.parts.goals import by_goal, failures
from studies.persona_llm.parts.population import examples, loop_on_actions, populations, time_to_cart
from studies.persona_llm.parts.prediction import acted_in, prediction
from studies.persona_llm.parts.whole_session_tokens import expressiveness
from studies.persona_llm.plan import (
    RULE,
    SCHEDULES,
    VARIANTS,
    Chosen,
    Fit,
    Plan,
    Play,
    Task,
    Tokens,
)
from studies.persona_llm.report.targets import bars
from studies.persona_llm.runs import Runs
from studies.persona_llm.settings import Setting
from studies.sealed_test import Choice
from training.errors import EvaluationError
from training.evaluation import bootstrap
from training.persona_llm import measures as m
from training.persona_llm.agents.agents import Agent, Run, Shopper
from training.persona_llm.agents.loop import loop_figures
from training.persona_llm.measures import Acted
from training.persona_llm.model.from_traces import device_name
from training.persona_llm.storefront.storefront import Goal
from training.persona_llm.traces.traces import describe


def run_evaluation(
    material: Material, plan: Plan, work: Path, tell: Tell, *, so_far: bool = False
) -> dict[str, Any]:
    """All figures of the report, as one JSON document; `work` keeps what is done.

    so_far: run nothing more, and report what is there.

    Raises:
        EvaluationError: a held-out store is not in the data; the folder's choice does not fit; or so_far
            and not even one seed of the plan's settings is done.
    """
    require_stores(plan.held_out, material.stores, "sessions")
    choice = Choice(work / "choice.json")
    runs = Runs(material, plan.encoder, work / "runs", choice)
    chosen = choose(plan, runs, choice, tell)
    choice.open()
    if not so_far:
        tell("the choice is fixed; the test buyers are opened")
        runs.do(possible(runs, chosen), tell)
    tell("figures")
    return _Figures(runs, chosen, tell).all() | {"choice": choice.read()}


def possible(runs: Runs, chosen: Chosen) -> list[Task]:
    """The tasks of the plan for which there are sessions."""
    return [task for task in chosen.tasks() if runs.possible(task.fit)]


def choose(plan: Plan, runs: Runs, choice: Choice, tell: Tell) -> Chosen:
    """Let validation buyers choose the model's variant and how agents draw, once.

    Raises:
        EvaluationError: there are too few validation sessions to choose by.
    """
    plays = plan.candidates()

    def by_validation() -> dict[str, Any]:
        tell("validation chooses; the test buyers are sealed")
        runs.do(plays, tell)
        if not runs.judged(plays[0].fit, "validation").cells:
            raise EvaluationError(
                f"no store and stratum has {m.LEAST} validation sessions; give more events, or more buyers"
            )
        found = [_validated(runs, play) for play in plays]
        candidates = [_candidate(play) | {"ara": value} for play, value in zip(plays, found, strict=True)]
        config = plays[int(np.argmax(found))].fit.config
        held_out = _held_out(plan, runs, config, tell)
        for one in candidates:
            if one["config"] == config and held_out:
                one["held_out"] = held_out[one["temperature"], one["guidance"]]
        best = max(
            (one for one in candidates if one["config"] == config),
            key=lambda one: one["ara"] + one.get("held_out", 0.0),
        )
        chosen = {name: best[name] for name in ("config", "temperature", "guidance")}
        return {"candidates": candidates, "chosen": chosen}

    made = choice.among([runs.path(play) for play in plays], RULE, by_validation)
    return Chosen(plan=plan, **made["chosen"])


def _held_out(plan: Plan, runs: Runs, config: dict[str, Any], tell: Tell) -> dict[tuple[float, float], float]:
    """(temperature, guidance) -> mean ARA on validation buyers of the stores held out."""
    if "held_out" not in plan.parts:
        return {}
    each = [plan.ways_to_draw(plan.fit(config=config, held_out=store)) for store in plan.held_out]
    runs.do([play for plays in each for play in plays], tell)
    return {
        (plays[0].temperature, plays[0].guidance): float(np.nanmean([_validated(runs, p) for p in plays]))
        for plays in zip(*each, strict=True)
    }


def _validated(runs: Runs, play: Play) -> float:
    """ARA on validation buyers, mean over draws; NaN where no cell has enough of them."""
    judged = runs.judged(play.fit, play.side)
    once = np.ones((1, judged.buyers))
    return float(np.mean([m.ara(judged, acted, once)[0] for acted in acted_in(runs, play)]))


def _candidate(play: Play) -> dict[str, Any]:
    return {"config": play.fit.config, "temperature": play.temperature, "guidance": play.guidance}


class _Figures:
    def __init__(self, runs: Runs, chosen: Chosen, tell: Tell) -> None:
        self.runs, self.chosen, self.plan, self.tell = runs, chosen, chosen.plan, tell

    def all(self) -> dict[str, Any]:
        """Everything that is done, part by part."""
        report: dict[str, Any] = {"setup": self._setup()}
        if "in_store" in self.plan.parts:
            report |= self._in_store()
        if "held_out" in self.plan.parts and self.plan.held_out:
            fits = [self.chosen.fit(seed=self.plan.seeds[0], held_out=store) for store in self.plan.held_out]
            if held_out := self._setting(fits):
                report["held_out"] = expressiveness(held_out, {})
        if "prediction" in self.plan.parts:
            report |= self._prediction()
        if "loop" in self.plan.parts and (
            setting := self._setting([self.chosen.on_actions(self.plan.seeds[0])])
        ):
            on_actions = loop_on_actions(setting)
            report["loop"] = {
                "code": on_actions["code"]["model"],
                "type": on_actions["type"]["model"],
                "on_actions": on_actions,
                "live_path": report.pop("live_path", None),
            }
        report["bars"] = bars(report)
        return report | {"device": device_name()}

    def _setting(self, fits: list[Fit]) -> Setting | None:
        """A setting, if any seed of it is done."""
        for seed in self.plan.seeds:
            of_seed = [fit.model_copy(update={"seed": seed}) for fit in fits]
            if self.runs.done([self.chosen.play(fit, "matched") for fit in of_seed]):
                return Setting(self.runs, self.chosen, fits)
        return None

    def _in_store(self) -> dict[str, Any]:
        first = self.plan.seeds[0]
        setting = self._setting([self.chosen.fit(seed=first)])
        if setting is None:
            raise EvaluationError("no seed of the in-store setting is done; run without --so-far")
        self.tell("in-store")
        beside: dict[str, list[Acted]] = {}
        others = {
            "text_profile": self.chosen.with_profile(first),
            **{name: self.chosen.variant(name, first) for name in VARIANTS},
        }
        for name, fit in others.items():
            plays = [self.chosen.play(fit.model_copy(update={"seed": s}), "matched") for s in self.plan.seeds]
            beside[name] = [
                Acted.of([run.actions for run in self.runs.play(play)])
                for play in plays
                if self.runs.done([play])
            ]
        not_held = [self.chosen.play(self.chosen.fit(seed=s), "matched", held=False) for s in self.plan.seeds]
        beside["not_held"] = [
            Acted.of([run.actions for run in self.runs.play(play)])
            for play in not_held
            if self.runs.done([play])
        ]
        self.tell("goals, populations and the live path's loop")
        found: dict[str, Any] = {"in_store": expressiveness(setting, beside), "goals": {}}
        for schedule in SCHEDULES:
            if of := self._setting([self.chosen.fit(seed=first, schedule=schedule)]):
                found["goals"][schedule] = by_goal(of) | {"seeds": of.seeds("matched", "wrong")}
        found["failed_runs"] = failures(setting)
        found["distribution"] = populations(setting)
        found["time_to_cart"] = time_to_cart(setting)
        found["examples"] = examples(setting)
        looped, chain = self._looped(setting.simulated("matched")[0]), self._looped(_as_runs(setting))
        for kind in ("code", "type"):
            if looped[kind]:
                looped[kind]["markov_code"] = chain[kind]["simulated"]
        found["live_path"] = looped
        return found

    def _looped(self, runs: Sequence[Run]) -> dict[str, Any]:
        """The loop by the fold and the encoder that serve."""
        fit = self.chosen.fit(seed=self.plan.seeds[0])
        return loop_figures(
            runs,
            self.runs.judged(fit, "test").traces,
            self.runs.bundle(None).folder,
            fit.seed,
            currencies={name: store.currency for name, store in self.runs.stores.items()},
        )

    def _prediction(self) -> dict[str, Any]:
        self.tell("prediction")
        predicted: dict[str, Any] = {}
        kinds: tuple[Tokens, ...] = ("early", "before")
        for tokens in kinds:
            try:
                predicted[tokens] = prediction(self.runs, self.chosen, tokens)
            except EvaluationError as error:
                self.tell(str(error))
        if "early" not in predicted:
            return {"prediction": predicted}
        kept = predicted["early"]["spread_kept"]
        return {
            "prediction": predicted,
            "spread_kept": {action: kept[action]["model"] for action in ("cart", "purchase")},
        }

    def _setup(self) -> dict[str, Any]:
        tasks = possible(self.runs, self.chosen)
        done = [fit for fit in _fits(self.chosen) if self.runs.path(fit).exists()]
        seconds = [self.runs.about(fit)["seconds"] for fit in done]
        return {
            "plan": self.plan.model_dump(mode="json"),
            "stores": describe(self.runs.material.traces)["stores"],
            "min_events": MIN_EVENTS,
            "bootstrap_samples": bootstrap.SAMPLES,
            "least_sessions": m.LEAST,
            "models": len(done),
            "median_seconds": float(np.median(seconds)),
            "tasks": len(tasks),
            "tasks_left": sum(not self.runs.path(task).exists() for task in tasks),
        }


def _as_runs(setting: Setting) -> list[Run]:
    """The walks of the chain of the code as an agent's, so that they have items and dwells."""
    part, runs = setting.parts[0], []
    for i, (trace, actions) in enumerate(
        zip(setting.judged.traces, part.walked["markov_code"][0], strict=True)
    ):
        shopper = Shopper(trace.store, trace.codes[part.kind], Goal(trace.neutral, None))
        agent = Agent(shopper, setting.runs.stores[trace.store], part.fit.seed, i)
        for action in actions:
            if agent.end is None:
                agent.act(action)
        runs.append(Run(shopper, agent.end or "limit", agent.steps, agent.refused))
    return runs


def _fits(chosen: Chosen) -> list[Fit]:
    fits: list[Fit] = []
    for task in [*chosen.plan.candidates(), *chosen.tasks()]:
        if task.fit not in fits:
            fits.append(task.fit)
    return fits
