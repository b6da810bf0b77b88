"""Retrain: snapshot, train, align, evaluate, gate, publish, shadow, promote; killed anywhere, it goes on.

The champion changes in the last step alone. Each step leaves its result in the run's folder and is then
marked done (training.lifecycle.run_state), so a rerun repeats at most the step in which the last one died.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from torch import Tensor

from feature_store.contract.events import Event
from feature_store.workspace import workspace
from inference.bundles.bundle import Bundle, load_bundle
from ops.errors import ModelsError
from ops.models import Models
from ops.retrain_settings import RetrainSettings
from ops.shadowing import wait_for_agreement
from ops.snapshots import read_snapshot, snapshot_step
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors, training_rows
from training.errors import GateError, RetrainError
from training.lifecycle import steps
from training.lifecycle.gates import GateSettings
from training.lifecycle.registry import ALIGNMENT, STATE
from training.lifecycle.run_state import Order, Run, Step, sole_holder, step_errors
from training.lifecycle.snapshot import VoidBefore, snapshot_batches
from training.lifecycle.successor import load_weights
from training.lifecycle.versions import Version

log = structlog.get_logger()

REQUEST: Final = "retrain-request.json"


class Request(NamedTuple):
    """What drift left in retrain-request.json: its bytes, and why."""

    content: bytes
    reason: str


def read_request(home: Path) -> Request | None:
    """The request that waits, or None.

    Raises:
        RetrainError: the file is no request.
    """
    path = home / REQUEST
    try:
        content = path.read_bytes()
        asked = msgspec.json.decode(content, type=dict[str, Any])
        return Request(content, f"asked for at {asked['requested_at']}: {asked['reason']}")
    except FileNotFoundError:
        return None
    except (OSError, KeyError, msgspec.MsgspecError) as error:
        raise RetrainError(f"{path} is no request for a retrain ({error}); remove it") from error


def retrain(models: Models, home: Path, void_before: VoidBefore, order: Order, *, restart: bool) -> Run:
    """Go on with the run that was interrupted, as it was ordered; else begin one. One at a time.

    A request that drift left is answered by any run that ends, and then removed.

    Raises:
        GateError, RetrainError, TrainingError: see Retrain.go; another retrain is at work.
    """
    root = home / "retrain"
    try:
        with sole_holder(root / ".lock", "a retrain"):
            return _retrain(root, models, home, void_before, order, restart)
    except OSError as error:
        raise RetrainError(
            f"{root} cannot be written: {error.strerror or error}; the champion stays"
        ) from error


def _retrain(
    root: Path, models: Models, home: Path, void_before: VoidBefore, order: Order, restart: bool
) -> Run:
    request = read_request(home)
    run = Run.take_up(root, order, restart=restart)
    try:
        Retrain(run, models, home, void_before).go()
    finally:
        if request is not None and run.state.outcome is not None:
            _answered(home / REQUEST, request)
    return run


def _answered(path: Path, request: Request) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == request.content:  # a later request stays
            path.unlink()


class Retrain:
    """One run, from its first step that is not done."""

    def __init__(self, run: Run, models: Models, home: Path, void_before: VoidBefore) -> None:
        self.run, self._models, self._home, self._void_before = run, models, home, void_before
        self._config = TrainConfig(**run.state.order.config)
        self._do: dict[Step, Callable[[], dict[str, Any]]] = {
            "snapshot": lambda: snapshot_step(run, home),
            "train": self._train,
            "align": self._align,
            "evaluate": self._evaluate,
            "gate": self._gate,
            "publish": self._publish,
            "shadow": self._shadow,
            "promote": self._promote,
        }
        self._champion: tuple[Version, Bundle] | None = None
        self._data: BuyerVectors | None = None
        self._stack = contextlib.ExitStack()

    def go(self) -> None:
        """Do what is left.

        Raises:
            GateError: the candidate is worse than the champion; it is registered, and not promoted.
            RetrainError: a step could not be done now, from a full disk say; a rerun goes on with it.
            TrainingError, EventSourceError: the data makes no encoder; a rerun begins anew.
        """
        with self._stack:
            while (step := self.run.next_step()) is not None:
                try:
                    with step_errors(self.run, step, "simpersona retrain"):
                        self.run.finish(step, self._do[step]())
                except ModelsError as error:
                    log.warning("champion_changed", error=str(error))
                    self._champion = None
                    self.run.forget_from("align")
                self._stop_if_refused(step)
            self.run.end("promoted" if self.run.state.order.promote else "candidate")

    def _stop_if_refused(self, step: Step) -> None:
        # Once it is registered: what was refused can be looked at, and promoted by force.
        refused = self.run.state.done.get("gate", {}).get("refused")
        if step == "publish" and refused:
            self.run.end("refused", refused)
            version = self.run.state.done["publish"]["version"]
            raise GateError(f"version {version} is not promoted, it is worse than the champion: {refused}")

    # ---- steps

    def _train(self) -> dict[str, Any]:
        version, champion = self._current()
        weights: dict[str, Tensor] | None = None
        with self._models.registry.extra(version, STATE) as path:
            if path is not None:
                weights = load_weights(path)
        return steps.train_step(self.run.folder, self._rows(), self._config, champion, weights)

    def _align(self) -> dict[str, Any]:
        version, champion = self._current()
        command = shlex.join(["simpersona", *sys.argv[1:]])
        said = steps.align_step(
            self.run.folder,
            self._rows(),
            champion,
            sources=read_snapshot(self.run).sources(),
            command=command,
            events=self._events,
        )
        return {"champion": version.number, **said}

    def _evaluate(self) -> dict[str, Any]:
        return steps.evaluate_step(self.run.folder, self._rows(), self._config, self._compared())

    def _gate(self) -> dict[str, Any]:
        return steps.gate_step(self.run.folder, GateSettings())

    def _publish(self) -> dict[str, Any]:
        done, folder = self.run.state.done, self.run.folder
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
                "origin": f"retrain {self.run.state.run}, {self.run.state.order.reason}",
                "parent": str(done["align"]["champion"]),
                "gates": f"failed: {refused}" if refused else "passed",
            },
        )
        if not refused:
            self._models.registry.give("candidate", version.number)
        return {"version": version.number, "codebook_version": version.codebook_version}

    def _shadow(self) -> dict[str, Any]:
        settings, version = RetrainSettings(), self._version()
        self._models.shadow(version)
        try:
            return wait_for_agreement(
                settings.metrics_urls, version.codebook_version, settings.shadow_s, settings.shadow_states
            )
        finally:
            self._models.shadow(None)

    def _promote(self) -> dict[str, Any]:
        if not self.run.state.order.promote:
            return {"promoted": False}
        champion = self._models.registry.version(self.run.state.done["align"]["champion"])
        self._models.promote(self._version(), over=champion)
        return {"promoted": True}

    # ---- what steps need

    def _current(self) -> tuple[Version, Bundle]:
        if self._champion is None:
            version = self._models.champion()
            self._champion = version, self._models.lay_down(version)
        return self._champion

    def _compared(self) -> Bundle:
        """The champion that the candidate was aligned with, whoever it is now."""
        version = self._models.registry.version(self.run.state.done["align"]["champion"])
        return self._models.registry.lay_down(version, self._home / "models")

    def _version(self) -> Version:
        return self._models.registry.version(self.run.state.done["publish"]["version"])

    def _rows(self) -> BuyerVectors:
        """The snapshot folded; the rows lie in the run's folder while this process lives."""
        if self._data is None:
            work = self._stack.enter_context(workspace(self.run.folder / "rows"))
            self._data = training_rows(self._events(), self._config.prefixes, work)
        return self._data

    def _events(self) -> Iterator[list[Event]]:
        return snapshot_batches(read_snapshot(self.run), self._void_before)
