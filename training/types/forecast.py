"""The forecast: which type a buyer will be at the end of the present session, with a calibrated probability.

It is read from the latent before quantising: what a code leaves out is just what tells the next clicks. It is
trained when the types are made, on states inside sessions and the type at the end of each, and is only asked
among the types that the buyer's facts leave open. Its probabilities are calibrated on buyers that it was not
trained on, by temperature (Guo et al. 2017, arXiv 1706.04599). The same probabilities say how sure it is that
the type of now is still the type at the end.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from feature_store.fold.funnel import FACT_CELLS
from training.encoder.config import TrainConfig
from training.encoder.dataset import POSITIONS, BuyerVectors
from training.encoder.facts import cells_of
from training.encoder.model import VQVAE, Forecast
from training.encoder.outcomes import is_over
from training.evaluation.measures import calibration_error, kappa, once
from training.types.types import TypeGroups, group_codes

_BATCH: Final = 512
_LEARNING_RATE: Final = 2e-3
_WEIGHT_DECAY: Final = 1e-2
Ints = NDArray[np.int64]


class Forecasting(NamedTuple):
    """The types of the codes, and how well the type at the end of a session is forecast.

    validation holds, for each position, of validation buyers: rows, kappa of the forecast and of the type of
    now (kappa_now) with the type at the end, and the calibration errors of both stated probabilities. Where
    no row knows how its session ended, there is no forecast: temperature is None.
    """

    groups: TypeGroups
    temperature: float | None
    validation: dict[int, dict[str, float]]


class ForecastRows(NamedTuple):
    """Rows to learn or calibrate on: latents float32 [n, 96], cells int64 [n], and the types of now and at
    the session's end, int64 [n] each."""

    latents: Tensor
    cells: Tensor
    now: Tensor
    end: Tensor


def add_forecast(
    model: VQVAE, data: BuyerVectors, training: Ints, validation: Ints, config: TrainConfig
) -> Forecasting:
    """Make types of the model's codes and give it a forecast head, trained and calibrated, where there are
    rows to learn it from."""
    codes = model.codes(data.vectors)
    cell_of_code = model.quantizer.cell_of_code.cpu().numpy()
    groups = group_codes(data, training, codes[training], cell_of_code)
    known = np.flatnonzero((data.position > 0) & is_over(data))
    learn, judge = np.intersect1d(known, training), np.intersect1d(known, validation)
    if len(learn) == 0 or len(judge) == 0:
        return Forecasting(groups, None, {})
    device = model.quantizer.codebook.device

    def rows(chosen: Ints) -> ForecastRows:
        now, end = (groups.type_of_code[codes[of]] for of in (chosen, data.session_end[chosen]))
        vectors = data.vectors[chosen]
        return ForecastRows(
            model.all_latents(vectors),
            *(torch.from_numpy(column).to(device) for column in (_cells(vectors), now, end)),
        )

    held_out = rows(judge)
    open_types = np.array(
        [
            [kind.facts is None or kind.facts.can_follow(cell) for kind in groups.types]
            for cell in range(FACT_CELLS)
        ]
    )
    model.forecast = fit_forecast(rows(learn), held_out, open_types, config.forecast_epochs, config.seed)
    with torch.no_grad():
        probability = model.forecast(held_out.latents, held_out.cells).softmax(dim=1).double().cpu().numpy()
    return Forecasting(
        groups, float(model.forecast.temperature), _judge(data.position[judge], probability, held_out)
    )


def _cells(vectors: NDArray[np.float32]) -> Ints:
    return np.asarray(cells_of(torch.from_numpy(vectors)).numpy())


def fit_forecast(
    training: ForecastRows, validation: ForecastRows, reachable: NDArray[np.bool_], epochs: int, seed: int
) -> Forecast:
    """Train on some buyers, keep the best epoch on others, calibrate on those. In eval mode.

    reachable bool [cells, types]: which types a buyer of a cell can still be at the session's end.
    """
    torch.manual_seed(seed)
    forecast = Forecast(reachable).to(training.latents.device)
    optimiser = torch.optim.AdamW(forecast.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    steps = epochs * (-(-len(training.end) // _BATCH))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best, kept = float("inf"), forecast.state_dict()
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(training.end))
        for rows in torch.split(torch.from_numpy(order).to(training.end.device), _BATCH):
            loss = F.cross_entropy(forecast(training.latents[rows], training.cells[rows]), training.end[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            loss = F.cross_entropy(forecast(validation.latents, validation.cells), validation.end)
        if float(loss) < best:
            best = float(loss)
            kept = {name: value.clone() for name, value in forecast.state_dict().items()}
    forecast.load_state_dict(kept)
    with torch.no_grad():
        odds = forecast(validation.latents, validation.cells)
        forecast.temperature.copy_(_temperature(odds, validation.end))
    return forecast.eval()


def _temperature(logits: Tensor, target: Tensor) -> Tensor:
    """The one that gives the least cross-entropy; on a fine grid, as it is a curve with one valley."""
    grid = torch.logspace(-1, 1, 201, base=4.0, device=logits.device)
    losses = torch.stack([F.cross_entropy(logits / temperature, target) for temperature in grid])
    return grid[losses.argmin()]


def _judge(
    position: Ints, probability: NDArray[np.float64], rows: ForecastRows
) -> dict[int, dict[str, float]]:
    now, end = rows.now.cpu().numpy(), rows.end.cpu().numpy()
    forecast = probability.argmax(axis=1)
    stays = probability[np.arange(len(now)), now]
    judged: dict[int, dict[str, float]] = {}
    for count in sorted({*POSITIONS} & {*position.tolist()}):
        at = position == count
        alone = once(int(at.sum()))
        figures: dict[str, Any] = {
            "rows": int(at.sum()),
            "kappa": float(kappa(forecast[at], end[at], alone)[0]),
            "kappa_now": float(kappa(now[at], end[at], alone)[0]),
            "forecast_error": calibration_error(probability[at].max(axis=1), forecast[at] == end[at]),
            "confidence_error": calibration_error(stays[at], now[at] == end[at]),
        }
        judged[count] = {name: round(value, 4) for name, value in figures.items()}
    return judged
