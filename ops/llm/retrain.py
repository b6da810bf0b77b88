"""Retrain the persona LLM: snapshot, prepare, train, evaluate, gate, publish, promote; killed, it goes on.

The model in use changes in the last step alone. Steps are kept as the encoder's are
(training.lifecycle.run_state):

    snapshot.json   snapshot   what it learns from
    traces/         prepare    by the encoder that answers
    model/          train      a killed training goes on by steps
    figures.json    evaluate   the model in use and the candidate, on the same test sessions
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

import structlog

from feature_store.workspace import write_whole
from inference.bundles.bundle import Bundle
from ops.errors import ModelsError
from ops.llm.models import LlmModels, verdicts_on
from ops.snapshots import read_snapshot, snapshot_step
from training.errors import GateError, RetrainError
from training.lifecycle.gates import refusal
from training.lifecycle.run_state import Order, Run, Step, sole_holder, step_errors
from training.lifecycle.snapshot import VoidBefore, snapshot_batches
from training.persona_llm.lifecycle.gates import LlmFigures, require_sides
from training.persona_llm.model.folder import load_llm, read_manifest
from training.persona_llm.model.from_traces import asked_config, make_llm
from training.persona_llm.traces.prepare import prepare
from training.persona_llm.traces.traces import SPLIT_SEED, TRACES, Kind, load_traces

log = structlog.get_logger()

COMMAND: Final = "simpersona llm retrain"
_TRACES: Final = "traces"
_MODEL: Final = "model"
_FIGURES: Final = "figures.json"


class LlmRun(Run):
    """A retrain of the persona LLM."""

    steps: ClassVar[tuple[Step, ...]] = (
        "snapshot",
        "prepare",
        "train",
        "evaluate",
        "gate",
        "publish",
        "promote",
    )


def retrain_llm(
    models: LlmModels,
    encoder: Bundle,
    home: Path,
    void_before: VoidBefore,
    order: Order,
    *,
    restart: bool,
) -> LlmRun:
    """Go on with the run that was interrupted, as it was ordered; else begin one. One at a time.

    Raises:
        GateError, RetrainError, TrainingError: see LlmRetrain.go; another retrain is at work.
    """
    root = home / "llm-retrain"
    try:
        with sole_holder(root / ".lock", "a retrain of the persona LLM"):
            run = LlmRun.take_up(root, order, restart=restart)
            LlmRetrain(run, models, encoder, home, void_before).go()
            return run
    except OSError as error:
        raise RetrainError(
            f"{root} cannot be written: {error.strerror or error}; the model in use stays"
        ) from error


class LlmRetrain:
    """One run, from its first step that is not done."""

    def __init__(
        self, run: LlmRun, models: LlmModels, encoder: Bundle, home: Path, void_before: VoidBefore
    ) -> None:
        self.run, self._models, self._encoder, self._void_before = run, models, encoder, void_before
        self._do: dict[Step, Callable[[], dict[str, Any]]] = {
            "snapshot": lambda: snapshot_step(run, home),
            "prepare": self._prepare,
            "train": self._train,
            "evaluate": self._evaluate,
            "gate": self._gate,
            "publish": self._publish,
            "promote": self._promote,
        }

    def go(self) -> None:
        """Do what is left.

        Raises:
            GateError: the candidate is worse than the model in use; it is registered, and not promoted.
            RetrainError: a step could not be done now, from a full disk say; a rerun goes on with it.
            TrainingError, EventSourceError: the data makes no model; a rerun begins anew.
        """
        while (step := self.run.next_step()) is not None:
            try:
                with step_errors(self.run, step, COMMAND):
                    self.run.finish(step, self._do[step]())
            except ModelsError as error:
                log.warning("llm_champion_changed", error=str(error))
                self.run.forget_from("evaluate")
            refused = self.run.state.done.get("gate", {}).get("refused")
            if step == "publish" and refused:
                self.run.end("refused", refused)
                version = self.run.state.done["publish"]["version"]
                raise GateError(
                    f"version {version} is not promoted, it is worse than the one in use: {refused}"
                )
        self.run.end("promoted" if self.run.state.order.promote else "candidate")

    def _prepare(self) -> dict[str, Any]:
        kind = self._kind()
        folder = self.run.folder / _TRACES
        if folder.exists():  # whole: a run was killed after it and before it could say so
            _, about = load_traces(folder)
        else:
            snapshot = read_snapshot(self.run)
            about = prepare(
                snapshot_batches(snapshot, self._void_before),
                self._encoder,
                folder,
                sources=snapshot.sources(),
                command=_as_typed(),
            )
        return {
            "traces_sha256": about["files"][TRACES],
            "events": about["events"],
            "codebook_version": about["codebook_version"],
            "kind": kind,
        }

    def _kind(self) -> Kind | None:
        """That of the model in use, which cannot be judged where its buyers were parted otherwise: said
        before the time is spent."""
        held = self._models.champion()
        if held is None:
            return None
        champion = self._models.load(held)
        require_sides(champion.manifest, SPLIT_SEED)
        return champion.config.kind

    def _train(self) -> dict[str, Any]:
        folder = self.run.folder / _MODEL
        if folder.exists():  # whole, as above
            manifest = read_manifest(folder)
        else:
            kind = self.run.state.done["prepare"]["kind"]
            kept = {} if kind is None else {"kind": kind}
            config = asked_config(**kept | self.run.state.order.config)
            manifest = make_llm(self.run.folder / _TRACES, config, folder, command=_as_typed())
        return {
            "model_version": manifest.model_version,
            "validation_loss": min(manifest.losses),
            "seconds": manifest.seconds,
            "device": manifest.device,
        }

    def _evaluate(self) -> dict[str, Any]:
        candidate = load_llm(self.run.folder / _MODEL)
        held = self._models.champion()
        champion, ours = self._models.compare(
            candidate,
            self._models.load(held) if held else None,
            self.run.folder / _TRACES,
            candidate.config.seed,
        )
        figures = {
            "over": held.number if held else None,
            "champion": champion._asdict() if champion else None,
            "candidate": ours._asdict(),
        }
        write_whole(self.run.folder / _FIGURES, json.dumps(figures, indent=1).encode() + b"\n")
        return figures

    def _gate(self) -> dict[str, Any]:
        figures = self._figures()
        champion = figures["champion"] and LlmFigures(**figures["champion"])
        verdicts = verdicts_on((champion, LlmFigures(**figures["candidate"])))
        return {"refused": refusal(verdicts), "gates": [verdict.gate for verdict in verdicts]}

    def _publish(self) -> dict[str, Any]:
        done = self.run.state.done
        refused = done["gate"]["refused"]
        version = self._models.registry.register(
            self.run.folder / _MODEL,
            figures=self._figures()["candidate"],
            tags={
                "origin": f"retrain {self.run.state.run}, {self.run.state.order.reason}",
                "gates": f"failed: {refused}" if refused else "passed",
            },
        )
        if not refused:
            self._models.registry.give("candidate", version.number)
        return {"version": version.number, "model_version": version.tags["model_version"]}

    def _figures(self) -> dict[str, Any]:
        # From the file: state.json has no NaN.
        figures: dict[str, Any] = json.loads((self.run.folder / _FIGURES).read_bytes())
        return figures

    def _promote(self) -> dict[str, Any]:
        if not self.run.state.order.promote:
            return {"promoted": False}
        over = self.run.state.done["evaluate"]["over"]
        version = self._models.registry.version(self.run.state.done["publish"]["version"])
        self._models.promote(version, over=over and self._models.registry.version(over))
        return {"promoted": True}


def _as_typed() -> str:
    return shlex.join(["simpersona", *sys.argv[1:]])
