"""Retrain the encoder: snapshot, train, align, evaluate, gate, publish, shadow, promote."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from feature_store.contract.events import Event
from feature_store.workspace import workspace
from inference.bundles.bundle import Bundle, load_bundle
from ops.models import Models
from ops.retraining.engine import Kind, retrain
from ops.retraining.request import read_request, remove_request
from ops.retraining.run_state import Order, Run
from ops.retraining.settings import RetrainSettings
from ops.retraining.shadowing import wait_for_agreement
from ops.retraining.snapshots import read_snapshot, snapshot_step
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors, training_rows
from training.lifecycle import steps
from training.lifecycle.gates import GateSettings
from training.lifecycle.registry import ALIGNMENT, STATE
from training.lifecycle.snapshot import VoidBefore, snapshot_batches
from training.lifecycle.successor import load_weights
from training.lifecycle.versions import Version


def retrain_encoder(
    models: Models, home: Path, void_before: VoidBefore, order: Order, *, restart: bool
) -> Run:
    """Retrain the encoder of an installation; its runs lie in home/retrain.

    A request that drift left is answered by any run that ends, and then removed.

    Raises:
        See engine.retrain.
    """
    request = read_request(home)
    with ExitStack() as stack:
        work = EncoderSteps(models, home, void_before, stack)
        kind = work.kind()
        if request is not None:
            kind = kind._replace(on_end=partial(remove_request, home, request))
        return retrain(kind, home / "retrain", order, restart=restart)


class EncoderSteps:
    """The steps, and what they keep in memory of one run."""

    def __init__(self, models: Models, home: Path, void_before: VoidBefore, stack: ExitStack) -> None:
        """stack: closed when the process is done with the run."""
        self._models, self._home, self._void_before, self._stack = models, home, void_before, stack
        self._champion: tuple[Version, Bundle] | None = None
        self._data: BuyerVectors | None = None

    def kind(self) -> Kind:
        """The table."""
        return Kind(
            steps={
                "snapshot": partial(snapshot_step, home=self._home),
                "train": self._train,
                "align": self._align,
                "evaluate": self._evaluate,
                "gate": self._gate,
                "publish": self._publish,
                "shadow": self._shadow,
                "promote": self._promote,
            },
            command="simpersona retrain",
            doing="a retrain",
            champion="the champion",
            compares_from="align",
            on_champion_changed=self._forget_champion,
        )

    def _forget_champion(self) -> None:
        self._champion = None

    # ---- steps

    def _train(self, run: Run) -> dict[str, Any]:
        version, champion = self._current()
        weights: dict[str, Tensor] | None = None
        with self._models.registry.extra(version, STATE) as path:
            if path is not None:
                weights = load_weights(path)
        return steps.train_step(run.folder, self._rows(run), _config(run), champion, weights)

    def _align(self, run: Run) -> dict[str, Any]:
        version, champion = self._current()
        command = shlex.join(["simpersona", *sys.argv[1:]])
        aligned = steps.align_step(
            run.folder,
            self._rows(run),
            champion,
            sources=read_snapshot(run).sources(),
            command=command,
            events=lambda: self._events(run),
        )
        return {"champion": version.number, **aligned}

    def _evaluate(self, run: Run) -> dict[str, Any]:
        return steps.evaluate_step(run.folder, self._rows(run), _config(run), self._compared(run))

    def _gate(self, run: Run) -> dict[str, Any]:
        return steps.gate_step(run.folder, GateSettings())

    def _publish(self, run: Run) -> dict[str, Any]:
        done, folder = run.state.done, run.folder
        refused = done["gate"]["refused"]
        aligned = {name: done["align"][name] for name in ("same_code", "same_type")}
        version = self._models.registry.register(
            load_bundle(folder / steps.BUNDLE),
            extras={name: folder / name for name in (STATE, ALIGNMENT)},
            figures={
                **{verdict.gate: verdict.candidate for verdict in steps.verdicts_of(folder)},
                **{name: value for name, value in aligned.items() if value is not None},
            },
            tags={
                "origin": f"retrain {run.state.run}, {run.state.order.reason}",
                "parent": str(done["align"]["champion"]),
                "gates": f"failed: {refused}" if refused else "passed",
            },
        )
        if not refused:
            self._models.registry.give("candidate", version.number)
        return {"version": version.number, "codebook_version": version.codebook_version}

    def _shadow(self, run: Run) -> dict[str, Any]:
        settings, version = RetrainSettings(), self._version(run)
        self._models.shadow(version)
        try:
            return wait_for_agreement(
                settings.metrics_urls, version.codebook_version, settings.shadow_s, settings.shadow_states
            )
        finally:
            self._models.shadow(None)

    def _promote(self, run: Run) -> dict[str, Any]:
        if not run.state.order.promote:
            return {"promoted": False}
        champion = self._models.registry.version(run.state.done["align"]["champion"])
        self._models.promote(self._version(run), over=champion)
        return {"promoted": True}

    # ---- what steps need

    def _current(self) -> tuple[Version, Bundle]:
        if self._champion is None:
            version = self._models.champion()
            self._champion = version, self._models.lay_down(version)
        return self._champion

    def _compared(self, run: Run) -> Bundle:
        """The champion that the candidate was aligned with; another may be champion now."""
        version = self._models.registry.version(run.state.done["align"]["champion"])
        return self._models.registry.lay_down(version, self._home / "models")

    def _version(self, run: Run) -> Version:
        return self._models.registry.version(run.state.done["publish"]["version"])

    def _rows(self, run: Run) -> BuyerVectors:
        """The snapshot folded; the rows lie in the run's folder while this process lives."""
        if self._data is None:
            work = self._stack.enter_context(workspace(run.folder / "rows"))
            self._data = training_rows(self._events(run), work=work)
        return self._data

    def _events(self, run: Run) -> Iterator[list[Event]]:
        return snapshot_batches(read_snapshot(run), self._void_before)


def _config(run: Run) -> TrainConfig:
    return TrainConfig(**run.state.order.config)
