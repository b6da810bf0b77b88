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

from inference.bundles.catalogue import Catalogue
from inference.encoders.graph import CODES
from training.encoder import checkpoint
from training.encoder.axes import Axes
from training.encoder.config import TrainConfig
from training.encoder.dataset import BuyerVectors, split_by_buyer
from training.encoder.model import VQVAE, Batch, Losses
from training.encoder.sampling import Sampler
from training.encoder.scaling import Scaling
from training.encoder.variation import in_other_stores
from training.errors import DatasetError, DivergedError, WeightsError
from training.types.forecast import Forecasting, add_forecast

log = structlog.get_logger()

_INITIAL_ROWS = 32_768  # enough for 256 k-means centres; more only takes longer
_VALIDATION_ROWS = 4096
_EVALUATION_ROWS = 8192
_VARIES = 1  # parts this stream of random numbers from the sampler's


class Trained(NamedTuple):
    """A trained model (in eval mode, on the CPU) and how the training went.

    axes are the levels as fitted on the training buyers. forecasting holds the types and how well they are
    forecast; None where no types were asked for (forecast_epochs 0).
    """

    model: VQVAE
    config: TrainConfig
    axes: Axes
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
    previous: Catalogue | None = None,
) -> Trained:
    """Train on data; the model of the epoch with the lowest validation loss is returned.

    `resume` names a checkpoint file: written after each epoch, and where it is there already, training goes
    on from it and comes to the result that it would have had without the stop. It is removed at the end.
    `warm_start` are the weights of a champion (training.lifecycle.successor), begun with in place of a
    warm-up and of placing the codes; `previous` is its catalogue, whose types keep their names.

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
    whole = training[data.whole[training]]
    axes = Axes.fit(data.vectors[whole])
    rows = Rows(data, axes, device)
    torch.manual_seed(config.seed)
    scaling = Scaling.fit(
        data.vectors[Sampler(data, training, config).draw(0, config.epoch_rows)],
        config.embedding_weight,
        relative=config.relative,
        hide_funnel=config.hide_funnel,
    )
    run = _Run(VQVAE(scaling, axes, config).to(device), config)
    if warm_start is not None:
        run.warm_start(warm_start)
    of = checkpoint.fingerprint(data, config, warm_start) if resume else ""
    if kept := checkpoint.load(resume, of):
        run.restore(kept)
    sampler = Sampler(data, training, config)
    judged = rows.take(Sampler(data, validation, config).draw(0, min(_VALIDATION_ROWS, 4 * len(validation))))
    with _progress() as progress:
        bar = progress.add_task("training", total=config.warmup_epochs + config.epochs, loss=run.best)
        while not run.finished:
            run.one_epoch(rows, sampler.draw(run.epoch + 1, config.epoch_rows), judged)
            progress.update(bar, completed=run.epoch, loss=run.best)
            if resume:
                checkpoint.save(resume, of, run.state())
    model = run.best_model()
    forecasting = None
    if config.forecast_epochs:
        forecasting = add_forecast(model, data, training, validation, config, previous)
    seconds = time.perf_counter() - started
    log.info("trained", epochs=run.epoch, best_epoch=run.best_epoch, loss=run.best, seconds=round(seconds, 1))
    if resume:
        resume.unlink(missing_ok=True)
    return Trained(
        model.cpu().eval(), config, axes, run.epoch, run.best_epoch, seconds, run.best_losses, forecasting
    )


class Rows:
    """The data as batches."""

    def __init__(self, data: BuyerVectors, axes: Axes, device: torch.device) -> None:
        self._data = data
        self._axes = axes
        self._levels = np.stack(axes.levels(data.vectors), axis=1)
        self._device = device

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """The batch of rows int64 [n]."""
        end = self._data.session_end[rows]
        vectors = self._data.vectors
        return self._batch(vectors[rows], self._levels[rows], vectors[end], end == rows)

    def take_varied(self, rows: NDArray[np.int64], share: float, random: np.random.Generator) -> Batch:
        """The batch of rows int64 [n], a share of them as other stores would tell them."""
        end = self._data.session_end[rows]
        vectors, ends, moved = in_other_stores(
            self._data.vectors[rows], self._data.vectors[end], share, random
        )
        levels = self._levels[rows]
        levels[moved] = np.stack(self._axes.levels(vectors[moved]), axis=1)
        return self._batch(vectors, levels, ends, end == rows)

    def _batch(self, *columns: NDArray[Any]) -> Batch:
        return Batch(*(torch.from_numpy(column).to(self._device) for column in columns))


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
            self.model.load_state_dict(dict(weights))
        except RuntimeError as error:  # keys or shapes
            raise WeightsError("the weights to begin with are of a model of other layers") from error
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
        random = np.random.default_rng([self.config.seed, self.epoch, _VARIES])
        for start in range(0, len(drawn), self.config.batch_size):
            part = drawn[start : start + self.config.batch_size]
            batch = rows.take_varied(part, self.config.varied_share, random)
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
        with torch.no_grad():
            latents = self.model.latents(rows.take(drawn[:_INITIAL_ROWS]).vectors)
        if not torch.isfinite(latents).all():
            raise DivergedError("the latents became NaN or inf; lower the learning rate")
        self.model.quantizer.initialise(latents)

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
