"""Retrain the persona LLM: snapshot, prepare, train, evaluate, gate, publish, promote.

snapshot.json   snapshot   what it learns from
traces/         prepare    by the encoder that answers
model/          train      a killed training goes on by steps
figures.json    evaluate   the model in use and the candidate, on the same test sessions
"""

from __future__ import annotations

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from feature_store.workspace import write_whole
from inference.bundles.bundle import Bundle
from ops.llm.models import LlmModels, verdicts_on
from ops.retraining.engine import Kind, retrain
from ops.retraining.run_state import Order, Run
from ops.retraining.snapshots import read_snapshot, snapshot_step
from training.lifecycle.gates import refusal
from training.lifecycle.snapshot import VoidBefore, snapshot_batches
from training.persona_llm.lifecycle.gates import LlmFigures, require_sides
from training.persona_llm.model.folder import load_llm, read_manifest
from training.persona_llm.model.from_traces import asked_config, make_llm
from training.persona_llm.traces.prepare import prepare
from training.persona_llm.traces.traces import SPLIT_SEED, TRACES, load_traces
from training.persona_llm.traces.traces import Kind as TokenKind

_TRACES: Final = "traces"
_MODEL: Final = "model"
_FIGURES: Final = "figures.json"


def retrain_llm(
    models: LlmModels, encoder: Bundle, home: Path, void_before: VoidBefore, order: Order, *, restart: bool
) -> Run:
    """Retrain the persona LLM of an installation; its runs lie in home/llm-retrain.

    Raises:
        See engine.retrain.
    """
    kind = LlmSteps(models, encoder, home, void_before).kind()
    return retrain(kind, home / "llm-retrain", order, restart=restart)


class LlmSteps:
    """The steps."""

    def __init__(self, models: LlmModels, encoder: Bundle, home: Path, void_before: VoidBefore) -> None:
        self._models, self._encoder, self._home, self._void_before = models, encoder, home, void_before

    def kind(self) -> Kind:
        """The table."""
        return Kind(
            steps={
                "snapshot": partial(snapshot_step, home=self._home),
                "prepare": self._prepare,
                "train": self._train,
                "evaluate": self._evaluate,
                "gate": self._gate,
                "publish": self._publish,
                "promote": self._promote,
            },
            command="simpersona llm retrain",
            doing="a retrain of the persona LLM",
            champion="the model in use",
            compares_from="evaluate",
        )

    def _prepare(self, run: Run) -> dict[str, Any]:
        kind = self._token_kind()
        folder = run.folder / _TRACES
        if folder.exists():  # whole: a run was killed after it and before it could say so
            _, about = load_traces(folder)
        else:
            snapshot = read_snapshot(run)
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

    def _token_kind(self) -> TokenKind | None:
        """That of the model in use. Where its buyers were parted otherwise it cannot be judged: this says so
        before the time is spent."""
        held = self._models.champion()
        if held is None:
            return None
        champion = self._models.load(held)
        require_sides(champion.manifest, SPLIT_SEED)
        return champion.config.kind

    def _train(self, run: Run) -> dict[str, Any]:
        folder = run.folder / _MODEL
        if folder.exists():  # whole, as above
            manifest = read_manifest(folder)
        else:
            kind = run.state.done["prepare"]["kind"]
            kept = {} if kind is None else {"kind": kind}
            config = asked_config(**kept | run.state.order.config)
            manifest = make_llm(run.folder / _TRACES, config, folder, command=_as_typed())
        return {
            "model_version": manifest.model_version,
            "validation_loss": min(manifest.losses),
            "seconds": manifest.seconds,
            "device": manifest.device,
        }

    def _evaluate(self, run: Run) -> dict[str, Any]:
        candidate = load_llm(run.folder / _MODEL)
        held = self._models.champion()
        champion, ours = self._models.compare(
            candidate,
            self._models.load(held) if held else None,
            run.folder / _TRACES,
            candidate.config.seed,
        )
        figures = {
            "over": held.number if held else None,
            "champion": champion._asdict() if champion else None,
            "candidate": ours._asdict(),
        }
        write_whole(run.folder / _FIGURES, json.dumps(figures, indent=1).encode() + b"\n")
        return figures

    def _gate(self, run: Run) -> dict[str, Any]:
        figures = _figures(run)
        champion = figures["champion"] and LlmFigures(**figures["champion"])
        verdicts = verdicts_on((champion, LlmFigures(**figures["candidate"])))
        return {"refused": refusal(verdicts), "gates": [verdict.gate for verdict in verdicts]}

    def _publish(self, run: Run) -> dict[str, Any]:
        done = run.state.done
        refused = done["gate"]["refused"]
        version = self._models.registry.register(
            run.folder / _MODEL,
            figures=_figures(run)["candidate"],
            tags={
                "origin": f"retrain {run.state.run}, {run.state.order.reason}",
                "gates": f"failed: {refused}" if refused else "passed",
            },
        )
        if not refused:
            self._models.registry.give("candidate", version.number)
        return {"version": version.number, "model_version": version.tags["model_version"]}

    def _promote(self, run: Run) -> dict[str, Any]:
        if not run.state.order.promote:
            return {"promoted": False}
        over = run.state.done["evaluate"]["over"]
        version = self._models.registry.version(run.state.done["publish"]["version"])
        self._models.promote(version, over=over and self._models.registry.version(over))
        return {"promoted": True}


def _figures(run: Run) -> dict[str, Any]:
    # From the file: state.json has no NaN.
    figures: dict[str, Any] = json.loads((run.folder / _FIGURES).read_bytes())
    return figures


def _as_typed() -> str:
    return shlex.join(["simpersona", *sys.argv[1:]])
