"""The steps of a retrain that need no live path: train, align, evaluate, gate. ops.retraining runs them all.

Every step reads what earlier ones left in the run's folder and leaves its own there, whole; done again, it
makes the same again.

    trained.pt        train     the encoder under numbers of its own
    bundle/           align     the same under the champion's numbers, sealed: what everything after is about
    state.pt, alignment.json    its weights, and where each of the champion's codes is now
    figures.json      evaluate  both encoders on the same rows
    gates.json        gate      the verdicts

Numbers are matched before anything is judged, so that what is judged is, byte for byte, what is published.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from torch import Tensor

from feature_store.contract.events import Event
from feature_store.workspace import write_whole
from inference.bundles.bundle import Bundle, load_bundle
from inference.encoders.graph import first_line
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors
from training.encoder.train import train
from training.errors import WeightsError
from training.lifecycle.align import describe_alignment
from training.lifecycle.gate_figures import Figures, GateRows, measure
from training.lifecycle.gates import GateSettings, Verdict, judge, refusal
from training.lifecycle.registry import ALIGNMENT, STATE
from training.lifecycle.successor import follow, save_weights
from training.lifecycle.trained_file import load_trained, save_trained
from training.publishing.publish import publish

log = structlog.get_logger()

BUNDLE: Final = "bundle"
_TRAINED: Final = "trained.pt"
_CHECKPOINT: Final = "training.checkpoint"
_FIGURES: Final = "figures.json"
_GATES: Final = "gates.json"


def train_step(
    folder: Path,
    data: BuyerVectors,
    config: TrainConfig,
    champion: Bundle,
    weights: Mapping[str, Tensor] | None,
) -> dict[str, Any]:
    """Train, from the champion's weights where they are kept and fit; a killed training goes on by epochs."""
    checkpoint = folder / _CHECKPOINT
    try:
        trained = train(data, config, checkpoint, warm_start=weights)
        warm = weights is not None
    except WeightsError as error:
        log.warning("cold_start", because="the champion's weights do not fit", error=first_line(error))
        trained = train(data, config, checkpoint)
        warm = False
    save_trained(trained, folder / _TRAINED)
    return {"warm_start": warm, "epochs": trained.epochs, "seconds": round(trained.seconds, 1)}


def align_step(
    folder: Path,
    data: BuyerVectors,
    champion: Bundle,
    *,
    sources: Sequence[str],
    command: str,
    events: Callable[[], Iterable[Sequence[Event]]],
) -> dict[str, Any]:
    """Number the codes after the champion's and seal the bundle."""
    for left in (folder / BUNDLE, *folder.glob(f".{BUNDLE}-*")):
        shutil.rmtree(left, ignore_errors=True)  # of a run that was killed here
    followed = follow(load_trained(folder / _TRAINED), champion, data)
    save_weights(followed.trained, folder / STATE)
    bundle, _ = publish(
        followed.trained,
        data,
        folder / BUNDLE,
        sources=sources,
        command=command,
        events=events,
        status=followed.alignment.status,
    )
    versions = {"from": champion.codebook_version, "to": bundle.codebook_version}
    _write(folder / ALIGNMENT, describe_alignment(followed.alignment, {**versions, **followed.figures}))
    counts = {status: followed.alignment.status.count(status) for status in ("kept", "new", "retired")}
    return {**versions, **followed.figures, **counts}


def evaluate_step(folder: Path, data: BuyerVectors, config: TrainConfig, champion: Bundle) -> dict[str, Any]:
    """Measure the champion and the candidate on buyers of the snapshot."""
    rows = GateRows.of(data, config.validation_share, config.seed)
    theirs, ours = measure([champion, load_bundle(folder / BUNDLE)], rows)
    figures = {"buyers": len(rows.vectors), "champion": theirs._asdict(), "candidate": ours._asdict()}
    _write(folder / _FIGURES, figures)
    return figures


def gate_step(folder: Path, settings: GateSettings) -> dict[str, Any]:
    """Judge the candidate by the figures; `refused` is None or says which failed."""
    figures = json.loads((folder / _FIGURES).read_bytes())
    verdicts = judge(Figures(**figures["champion"]), Figures(**figures["candidate"]), settings)
    _write(folder / _GATES, {"gates": [verdict._asdict() for verdict in verdicts]})
    return {"refused": refusal(verdicts)}


def verdicts_of(folder: Path) -> list[Verdict]:
    """The verdicts that gate_step wrote."""
    return [Verdict(**verdict) for verdict in json.loads((folder / _GATES).read_bytes())["gates"]]


def _write(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=1).encode() + b"\n")
