"""Train the VQ-VAE: data in, the best model on held-out buyers out."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import structlog
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor

from inference.graph import CODES
from training.config import TrainConfig
from training.dataset import BuyerVectors, split_by_buyer
from training.errors import DatasetError, DivergedError
from training.model import VQVAE, Losses, Scaling

log = structlog.get_logger()

_INITIAL_ROWS = 65_536  # enough for 256 k-means centres; more only takes longer
_EVALUATION_ROWS = 8192


class Trained(NamedTuple):
    """A trained model (in eval mode, on the CPU) and how the training went."""

    model: VQVAE
    config: TrainConfig
    epochs: int
    best_epoch: int
    seconds: float
    validation_losses: dict[str, float]


def train(data: BuyerVectors, config: TrainConfig) -> Trained:
    """Train on data; the model of the epoch with the lowest validation loss is returned.

    Raises:
        DatasetError: the data is empty, not finite, or has fewer different rows than codes.
        DivergedError: the loss became NaN or infinite.
    """
    started = time.perf_counter()
    check_trainable(data)
    training_rows, validation_rows = split_by_buyer(data, config.validation_share, config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vectors = torch.from_numpy(data.vectors)
    training, validation = vectors[training_rows].to(device), vectors[validation_rows].to(device)

    torch.manual_seed(config.seed)
    shuffle = torch.Generator().manual_seed(config.seed)
    model = VQVAE(Scaling.fit(data.vectors[training_rows], config.embedding_weight), config).to(device)
    epochs = config.warmup_epochs + config.epochs
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, epochs * math.ceil(len(training) / config.batch_size)
    )

    best, best_epoch = float("inf"), 0
    kept: dict[str, Tensor] = {}
    losses: dict[str, float] = {}
    with _progress() as progress:
        bar = progress.add_task("training", total=epochs, loss=float("nan"))
        for epoch in range(1, epochs + 1):
            order = torch.randperm(len(training), generator=shuffle).to(device)
            if epoch <= config.warmup_epochs:
                _run_epoch(model.autoencode, training[order], optimiser, schedule, config)
                progress.update(bar, completed=epoch)
                continue
            if epoch == config.warmup_epochs + 1:
                with torch.no_grad():
                    model.quantizer.initialise(model.latents(training[order[:_INITIAL_ROWS]]))
            model.train()
            _run_epoch(model, training[order], optimiser, schedule, config)
            terms = validation_losses(model, validation)
            loss = float(total_loss(terms, config))
            _check_finite(loss)
            progress.update(bar, completed=epoch, loss=loss)
            if loss < best:
                best, best_epoch = loss, epoch
                kept = {name: value.clone() for name, value in model.state_dict().items()}
                losses = {name: float(value) for name, value in terms._asdict().items()}
            elif epoch - best_epoch >= config.patience:
                break
    model.load_state_dict(kept)
    seconds = time.perf_counter() - started
    log.info("trained", epochs=epoch, best_epoch=best_epoch, loss=best, seconds=round(seconds, 1))
    return Trained(model.cpu().eval(), config, epoch, best_epoch, seconds, losses)


def _run_epoch(
    losses: Callable[[Tensor], Losses],
    rows: Tensor,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    config: TrainConfig,
) -> None:
    for batch in torch.split(rows, config.batch_size):
        loss = total_loss(losses(batch), config)
        _check_finite(loss.item())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


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
    bad = np.flatnonzero(~np.isfinite(data.vectors).all(axis=1))
    if len(bad):
        raise DatasetError(f"{len(bad)} training rows hold NaN or inf, first rows {bad[:10].tolist()}")
    if len(data.buyers) < CODES:
        raise DatasetError(f"{len(data.buyers)} buyers cannot fill {CODES} codes; give more events")
    different = len(np.unique(data.vectors, axis=0))
    if different < CODES:
        raise DatasetError(
            f"the training rows take only {different} different values, fewer than the {CODES} codes; "
            f"give events of more, and more varied, buyers"
        )


def total_loss(terms: Losses, config: TrainConfig) -> Tensor:
    """What is minimised: reconstruction, and commitment by its weight."""
    return terms.scalars + terms.embeddings + terms.masks + config.commitment * terms.commitment


@torch.no_grad()
def validation_losses(model: VQVAE, vectors: Tensor) -> Losses:
    """Mean loss terms of raw vectors float32 [n, 403], the codebook at rest."""
    model.eval()
    parts = [(len(part), model(part)) for part in torch.split(vectors, _EVALUATION_ROWS)]
    means = [sum(n * terms[i] for n, terms in parts) / len(vectors) for i in range(len(Losses._fields))]
    return Losses(*(torch.as_tensor(mean) for mean in means))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs, validation loss {task.fields[loss]:.4f}"),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
    )
