"""Runs of the study: one coder, fitted on some stores with one seed, and the codes it gives to every row."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from feature_store.fold.vector import N_SCALARS, SCALARS
from inference.encoders.graph import CODES
from studies.encoder import baselines
from studies.engine import Job, Tell, kept, result_path, work_through
from training.encoder.axes import FUNNEL_COLUMNS, MONEY_COLUMNS, Axes
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors
from training.encoder.facts import cells_of
from training.encoder.train import Trained, train
from training.evaluation.baselines import Coder, balanced_space, lloyd_kmeans, standard_space
from training.evaluation.coded import Coded
from training.evaluation.points import VALIDATION, Points, Vectors

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_FORMAT: Final = 3  # part of every key: what a result file holds
NOT_SCALED: Final = frozenset({*FUNNEL_COLUMNS, *MONEY_COLUMNS})
"""Columns that a sketch of a store leaves as they are."""
_ROWS: Final = 8192

Kind = Literal[
    "model", "kmeans_standard", "kmeans_scalars", "lloyd", "lloyd_levels", "autoencoder_kmeans", "grid"
]
PLAIN: Final[dict[str, Any]] = {"outcomes_weight": 0.0, "rebuilding_weight": 1.0}
"""A VQ-VAE that is taught nothing of what comes: rebuilding and commitment alone."""


class Run(BaseModel):
    """What to fit. view names the points; config what differs from TrainConfig's defaults (kind "model")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    view: str = "full"
    seed: int = 0
    held_out: str | None = None
    config: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """For the progress line."""
        without = f" without {self.held_out}" if self.held_out else ""
        changed = "".join(f" {name}={value}" for name, value in self.config.items())
        return f"{self.kind} {self.view} seed {self.seed}{without}{changed}"


class Runs:
    """Runs on named points, kept in a folder."""

    def __init__(self, folder: Path, points: Mapping[str, Points]) -> None:
        self._folder = folder
        self.points = dict(points)
        self._digests = {view: _digest(these) for view, these in points.items()}
        self._read: dict[Path, Coded] = {}

    def path(self, run: Run) -> Path:
        """Where a run's result is or will be."""
        key = [_FORMAT, run.model_dump(), self._digests[run.view]]
        return result_path(self._folder, json.dumps(key, sort_keys=True), ".npz")

    def do(self, runs: list[Run], tell: Tell) -> None:
        """Do what is missing."""
        work_through([self._job(run) for run in runs], tell)

    def _job(self, run: Run) -> Job:
        path = self.path(run)
        return Job(path, path.with_suffix(".lock"), run.title, lambda: self.get(run))

    def get(self, run: Run) -> Coded:
        """The result, read or made now."""
        path = self.path(run)
        if path not in self._read:
            self._read[path] = _unpacked(kept(path, lambda: _packed(_execute(run, self.points[run.view]))))
        return self._read[path]


def _digest(points: Points) -> str:
    digest = hashlib.sha256(json.dumps(points.stores).encode())
    for column in (points.data.vectors, points.data.buyer, points.store, points.side):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _packed(coded: Coded) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        codes=coded.codes.astype(np.int16),
        type=coded.type.astype(np.int16),
        confidence=coded.confidence.astype(np.float32),
        type_of_code=coded.type_of_code.astype(np.int16),
        sketched=coded.sketched.astype(np.int16),
        about=np.array(json.dumps(coded.about)),
    )
    return buffer.getvalue()


def _unpacked(content: bytes) -> Coded:
    with np.load(io.BytesIO(content)) as file:
        return Coded(
            codes=file["codes"].astype(np.int64),
            type=file["type"].astype(np.int64),
            confidence=file["confidence"].astype(np.float64),
            type_of_code=file["type_of_code"].astype(np.int64),
            sketched=file["sketched"].astype(np.int64),
            about=json.loads(str(file["about"])),
        )


def _execute(run: Run, points: Points) -> Coded:
    started = time.perf_counter()
    others = [i for i, store in enumerate(points.stores) if store != run.held_out]
    data = points.training_data(others)
    vectors = points.data.vectors
    kind = np.full(len(vectors), -1, dtype=np.int64)
    confidence, type_of_code = np.full(len(vectors), np.nan), np.full(CODES, -1, dtype=np.int64)
    about: dict[str, Any] = {}
    if run.kind == "model":
        trained = train(data, TrainConfig(seed=run.seed, **run.config))
        coder: Coder = trained.model
        about = {"epochs": trained.epochs, "best_epoch": trained.best_epoch}
        about["outcomes_loss"] = trained.validation_losses["outcomes"]
        if trained.forecasting is not None:
            kind, confidence = forecasts(trained, vectors)
            type_of_code = trained.forecasting.groups.type_of_code
    else:
        coder = fit_baseline(run, data)
    codes = coder.codes(vectors)
    about["seconds"] = round(time.perf_counter() - started, 1)
    return Coded(codes, kind, confidence, type_of_code, _sketched(run, points, coder, data), about)


def fit_baseline(run: Run, data: BuyerVectors) -> Coder:
    """A coder without a codebook of ours, fitted on the whole histories of training buyers."""
    whole = data.vectors[data.whole]
    if run.kind == "grid":
        return baselines.Grid(Axes.fit(whole))
    if run.kind == "kmeans_standard":
        return baselines.minibatch_kmeans(standard_space(whole), whole, run.seed)
    if run.kind == "kmeans_scalars":
        return baselines.minibatch_kmeans(standard_space(whole, N_SCALARS), whole, run.seed)
    if run.kind == "autoencoder_kmeans":
        return lloyd_kmeans(baselines.autoencoder_space(whole, run.seed), whole, run.seed)
    space = balanced_space(whole)
    if run.kind == "lloyd_levels":
        space = baselines.levels_space(space, Axes.fit(whole))
    return lloyd_kmeans(space, whole, run.seed)


@torch.no_grad()
def forecasts(trained: Trained, vectors: Vectors) -> tuple[Ints, Floats]:
    """The type forecast for the end of the session and its probability: int64 [n], float64 [n]."""
    assert trained.model.forecast is not None
    types, sure = [], []
    for part in torch.split(torch.from_numpy(vectors), _ROWS):
        odds = trained.model.forecast(trained.model.latents(part), cells_of(part))
        probability = odds.softmax(dim=1)
        top = probability.max(dim=1)
        types.append(top.indices.numpy())
        sure.append(top.values.double().numpy())
    return np.concatenate(types).astype(np.int64), np.concatenate(sure)


def _sketched(run: Run, points: Points, coder: Coder, data: BuyerVectors) -> Ints:
    """Codes of a held-out store whose counts and times were brought to the training stores' scale.

    The sketch: mean of log1p of each scalar among the store's validation buyers who have any; funnel and
    money columns stay as they are, as does every 0.
    """
    out = np.full(len(points.side), -1, dtype=np.int64)
    if run.held_out is None or run.held_out not in points.stores:
        return out
    index = points.stores.index(run.held_out)
    lent = points.whole(points.where(VALIDATION, [index]))
    buyers = np.flatnonzero(points.store == index)
    scaled = points.whole(buyers).copy()
    ours, theirs = np.log1p(data.vectors[data.whole, :N_SCALARS]), np.log1p(lent[:, :N_SCALARS])
    for column in set(range(len(SCALARS))) - NOT_SCALED:
        here, there = ours[:, column], theirs[:, column]
        if (here > 0).any() and (there > 0).any():
            factor = here[here > 0].mean() / there[there > 0].mean()
            scaled[:, column] = np.expm1(np.log1p(scaled[:, column]) * factor)
    out[buyers] = coder.codes(scaled)
    return out
