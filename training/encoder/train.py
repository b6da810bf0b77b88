"""Train the VQ-VAE: data in, the best model on held-out buyers out."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor

from inference.encoders.graph import CODES
from training.encoder import checkpoint
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors, split_by_buyer
from training.encoder.facts import cells_of
from training.encoder.model import VQVAE, Batch, Losses
from training.encoder.outcomes import outcomes_of
from training.encoder.sampling import Sampler, store_index
from training.encoder.scaling import Scaling
from training.encoder.teachers import Targets, teach
from training.errors import DatasetError, DivergedError, WeightsError
from training.types.forecast import Forecasting, add_forecast

log = structlog.get_logger()

_INITIAL_ROWS = 32_768  # enough for 256 k-means centres; more only takes longer
_VALIDATION_ROWS = 4096
_EVALUATION_ROWS = 8192
STORE_RATES = "store_rates.weight"
"""The one weight that is not begun with: another training has other stores."""


class Trained(NamedTuple):
    """A trained model (in eval mode, on the CPU) and how the training went.

    forecasting holds the types and how well they are forecast; None where no types were asked for
    (forecast_epochs 0).
    """

    model: VQVAE
    config: TrainConfig
    epochs: int
    best_epoch: int
    seconds: float
    validation_losses: dict[str, float]
    forecasting: Forecasting | None


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch computes in one thread: layers this small gain little from two, and where another process wants
    a core, two threads wait for each other at every layer (six times as long was seen)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def train(
    data: BuyerVectors,
    config: TrainConfig,
    resume: Path | None = None,
    *,
    warm_start: Mapping[str, Tensor] | None = None,
) -> Trained:
    """Train on data; the model of the epoch with the lowest validation loss is returned.

    `resume` names a checkpoint file: written after each epoch, and where it is there already, training goes
    on from it and comes to the result that it would have had without the stop. It is removed at the end.
    `warm_start` are the weights of a champion (training.lifecycle.successor), begun with in place of a
    warm-up and of placing the codes.

    Raises:
        DatasetError: the data is empty, not finite, or has fewer different rows than codes; or the
            checkpoint is of another run.
        WeightsError: the champion's weights are of a model of other layers.
        DivergedError: the loss became NaN or infinite.
    """
    started = time.perf_counter()
    check_trainable(data)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training, validation = split_by_buyer(data, config.validation_share, config.seed)
    sampler = Sampler(data, training, config.seed)
    torch.manual_seed(config.seed)
    scaling = Scaling.fit(data.vectors[sampler.draw(0, config.epoch_rows)])
    run = _Run(VQVAE(scaling, 1 + int(store_index(data).max()), config).to(device), config)
    if warm_start is not None:
        run.warm_start(warm_start)
    of = checkpoint.fingerprint(data, config, warm_start) if resume else ""
    if kept := checkpoint.load(resume, of):
        run.restore(kept)
    rows = Rows(data, config, device)
    judged = rows.take(
        Sampler(data, validation, config.seed).draw(0, min(_VALIDATION_ROWS, 4 * len(validation)))
    )
    with _progress() as progress:
        bar = progress.add_task("training", total=config.warmup_epochs + config.epochs, loss=run.best)
        while not run.finished:
            run.one_epoch(rows, sampler.draw(run.epoch + 1, config.epoch_rows), judged)
            progress.update(bar, completed=run.epoch, loss=run.best)
            if resume:
                checkpoint.save(resume, of, run.state())
    model = run.best_model()
    forecasting = add_forecast(model, data, training, validation, config) if config.forecast_epochs else None
    seconds = time.perf_counter() - started
    log.info("trained", epochs=run.epoch, best_epoch=run.best_epoch, loss=run.best, seconds=round(seconds, 1))
    if resume:
        resume.unlink(missing_ok=True)
    return Trained(
        model.cpu().eval(), config, run.epoch, run.best_epoch, seconds, run.best_losses, forecasting
    )


class Rows:
    """The data as batches."""

    def __init__(self, data: BuyerVectors, config: TrainConfig, device: torch.device) -> None:
        targets = teach(data, outcomes_of(data), config.teacher_share, config.seed)
        self._vectors = data.vectors
        self._store = store_index(data)[data.buyer]
        self._chance = targets.chance
        self._weight = targets.known * _outcome_weights(targets)
        self._device = device

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """The batch of rows int64 [n]."""
        columns = (self._vectors, self._store, self._chance, self._weight)
        return Batch(*(torch.from_numpy(column[rows]).to(self._device) for column in columns))


def _outcome_weights(targets: Targets) -> NDArray[np.float32]:
    """Weight of each outcome where it is known, float32 [8]: a guess of the mean costs 1 on average over all
    rows, whether the outcome is rare or hardly ever known."""
    rows = np.maximum(targets.known.sum(axis=0), 1)
    rate = ((targets.known * targets.chance).sum(axis=0) / rows).clip(1e-4, 1 - 1e-4)
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return np.asarray(len(targets.known) / (entropy * rows), dtype=np.float32)


class _Run:
    """The state of a training run between two epochs."""

    def __init__(self, model: VQVAE, config: TrainConfig) -> None:
        self.model = model
        self.config = config
        self.epoch = 0
        self.best, self.best_epoch = float("inf"), 0
        self.best_losses: dict[str, float] = {}
        self._best_state: dict[str, Any] = {}
        self._placed = False
        self._optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        steps = (config.warmup_epochs + config.epochs) * math.ceil(config.epoch_rows / config.batch_size)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimiser, steps)

    def warm_start(self, weights: Mapping[str, Tensor]) -> None:
        """Begin after the warm-up, with these weights and this codebook."""
        try:
            left = self.model.load_state_dict(dict(weights), strict=False)
        except RuntimeError as error:  # shapes
            raise WeightsError("the weights to begin with are of a model of other layers") from error
        if left.unexpected_keys or {*left.missing_keys} != {STORE_RATES}:
            raise WeightsError("the weights to begin with are of a model of other layers")
        self.epoch = self.config.warmup_epochs
        self._placed = True

    @property
    def finished(self) -> bool:
        """All epochs are done, or the last `patience` of them made nothing better."""
        waited = self.epoch - max(self.best_epoch, self.config.warmup_epochs)
        return self.epoch == self.config.warmup_epochs + self.config.epochs or waited >= self.config.patience

    def one_epoch(self, rows: Rows, drawn: NDArray[np.int64], judged: Batch) -> None:
        """Train on the drawn rows, then judge the model on held-out ones."""
        warm = self.epoch >= self.config.warmup_epochs
        if self.epoch == self.config.warmup_epochs and not self._placed:
            self._place_codes(rows, drawn)
        self.model.train()
        for start in range(0, len(drawn), self.config.batch_size):
            batch = rows.take(drawn[start : start + self.config.batch_size])
            loss = self.model(batch, quantize=warm).total(self.config)
            _check_finite(loss.item())
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
        self.epoch += 1
        if warm:
            self._judge(judged)

    def _place_codes(self, rows: Rows, drawn: NDArray[np.int64]) -> None:
        vectors = rows.take(drawn[:_INITIAL_ROWS]).vectors
        with torch.no_grad():
            latents = self.model.latents(vectors)
        if not torch.isfinite(latents).all():
            raise DivergedError("the latents became NaN or inf; lower the learning rate")
        self.model.quantizer.initialise(latents, cells_of(vectors))

    def _judge(self, judged: Batch) -> None:
        terms = validation_losses(self.model, judged)
        loss = float(terms.total(self.config))
        _check_finite(loss)
        if loss < self.best:
            self.best, self.best_epoch = loss, self.epoch
            self.best_losses = {name: float(value) for name, value in terms._asdict().items()}
            self._best_state = {name: value.clone() for name, value in self.model.state_dict().items()}

    def best_model(self) -> VQVAE:
        """The model as it was after the best epoch, in eval mode."""
        self.model.load_state_dict(self._best_state)
        self.model.quantizer.part_twins()
        return self.model.eval()

    def state(self) -> dict[str, Any]:
        """All that the epochs to come depend on."""
        return {
            "epoch": self.epoch,
            "best": (self.best, self.best_epoch, self.best_losses, self._best_state),
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.epoch = state["epoch"]
        self.best, self.best_epoch, self.best_losses, self._best_state = state["best"]
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])


def _check_finite(loss: float) -> None:
    if not math.isfinite(loss):
        raise DivergedError(f"the loss became {loss}; lower the learning rate")


def check_trainable(data: BuyerVectors) -> None:
    """Refuse data from which a codebook cannot be learned.

    Raises:
        DatasetError: says what is wrong.
    """
    if len(data.vectors) == 0:
        raise DatasetError("there is no buyer in the training data; give files that hold events")
    bad = _not_finite(data.vectors)
    if len(bad):
        raise DatasetError(f"{len(bad)} training rows hold NaN or inf, first rows {bad[:10].tolist()}")
    if len(data.buyers) < CODES:
        raise DatasetError(f"{len(data.buyers)} buyers cannot fill {CODES} codes; give more events")
    different = _different(data.vectors, CODES)
    if different < CODES:
        raise DatasetError(
            f"the training rows take only {different} different values, fewer than the {CODES} codes; "
            f"give events of more, and more varied, buyers"
        )


def _not_finite(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows that hold NaN or inf; a part at a time, since the vectors may be a file larger than memory."""
    parts = range(0, len(vectors), _EVALUATION_ROWS)
    found = [
        at + np.flatnonzero(~np.isfinite(vectors[at : at + _EVALUATION_ROWS]).all(axis=1)) for at in parts
    ]
    return np.concatenate(found)


def _different(vectors: NDArray[np.float32], enough: int) -> int:
    """How many different rows there are; no more are counted once there are `enough`."""
    seen: set[bytes] = set()
    for vector in vectors:
        seen.add(vector.tobytes())
        if len(seen) >= enough:
            break
    return len(seen)


@torch.no_grad()
def validation_losses(model: VQVAE, judged: Batch) -> Losses:
    """Mean loss terms of a batch of any size, the codebook at rest."""
    model.eval()
    parts = [Batch(*part) for part in zip(*(torch.split(c, _EVALUATION_ROWS) for c in judged), strict=True)]
    terms = [torch.stack(model(part)) * len(part.vectors) for part in parts]
    total: Tensor = torch.stack(terms).sum(dim=0) / len(judged.vectors)
    return Losses(*total)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs, best validation loss {task.fields[loss]:.4f}"),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
    )
