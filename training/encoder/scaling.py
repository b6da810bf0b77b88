"""Raw vectors -> what the encoder sees. A part of the model, so that it is exported with it."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from feature_store.fold.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS, N_SCALARS, SCALARS, VECTOR_SIZE
from training.encoder.axes import EVENTS, FUNNEL_COLUMNS, KNOTS, MONEY_COLUMNS, ByEvents

_MAX_RAW: Final = 1e12
_MAX_SIGMAS: Final = 6.0
"""Scaled scalars are clipped here: a shopper beyond it is as unusual as the encoder can express."""
_FLAT: Final = 1e-6
_FUNNEL: Final = [i for i, scalar in enumerate(SCALARS) if scalar.axis == "funnel"] + [*MONEY_COLUMNS]
_CARTED_AND_BOUGHT: Final = slice(EMBEDDINGS.start + EMBEDDING_SIZE, EMBEDDINGS.stop)


class Scaling(nn.Module):
    """Raw vectors float32 [n, W] -> scaled float32 [n, W], always finite.

    Scalars: their transform (feature_store.fold.vector.SCALARS), then zero mean and unit variance on the
    training rows. With `relative`, all but events are first set against the mean and the deviation among
    buyers with as many events (axes.ByEvents): a code then says how somebody shops and not, sixteen
    times over, how long. Embeddings: scaled so that the three together vary `embedding_weight` times as
    much as the 16 scalars together; unscaled, 384 columns would drown them. Masks: as they are.
    """

    mean: Tensor
    deviation: Tensor
    embedding_scale: Tensor
    shown: Tensor
    knots: Tensor
    by_events_mean: Tensor
    by_events_deviation: Tensor

    def __init__(
        self, mean: Tensor, deviation: Tensor, embedding_scale: float, by_events: ByEvents, hide_funnel: bool
    ) -> None:
        super().__init__()
        self.hide_funnel = hide_funnel
        shown = torch.ones(VECTOR_SIZE)
        if hide_funnel:
            shown[_FUNNEL] = shown[_CARTED_AND_BOUGHT] = shown[MASKS.start + 1 : MASKS.stop] = 0.0
        self.register_buffer("shown", shown)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("embedding_scale", torch.tensor(embedding_scale, dtype=torch.float32))
        self.register_buffer("knots", torch.from_numpy(KNOTS).float())
        self.register_buffer("by_events_mean", torch.from_numpy(by_events.mean).float())
        self.register_buffer("by_events_deviation", torch.from_numpy(by_events.deviation).float())

    @classmethod
    def fit(
        cls,
        vectors: NDArray[np.float32],
        embedding_weight: float,
        *,
        relative: bool = False,
        hide_funnel: bool = False,
    ) -> Self:
        """Take the scales of training rows float32 [n, W]. A constant scalar stays unscaled."""
        rows = torch.from_numpy(vectors)
        none = ByEvents(np.zeros((len(KNOTS), N_SCALARS)), np.ones((len(KNOTS), N_SCALARS)))
        zero, one = torch.zeros(N_SCALARS), torch.ones(N_SCALARS)
        scaling = cls(zero, one, 1.0, none, hide_funnel)
        by_events = none
        if relative:
            logs = scaling.logs(rows).double().numpy()
            by_events = ByEvents.fit(logs[:, EVENTS], logs)
            by_events.mean[:, EVENTS], by_events.deviation[:, EVENTS] = 0.0, 1.0
            scaling = cls(zero, one, 1.0, by_events, hide_funnel)
        scalars = scaling.against_peers(scaling.logs(rows)).clamp(-_MAX_SIGMAS, _MAX_SIGMAS).double()
        deviation = scalars.std(dim=0, correction=0)
        deviation[deviation < _FLAT] = 1.0
        seen = vectors[:, EMBEDDINGS] * scaling.shown[EMBEDDINGS].numpy()
        variance = float(seen.var(axis=0, dtype=np.float64).sum())
        scale = (embedding_weight * N_SCALARS / variance) ** 0.5 if variance > _FLAT else 1.0
        return cls(scalars.mean(dim=0).float(), deviation.float(), scale, by_events, hide_funnel)

    def forward(self, vectors: Tensor) -> Tensor:
        """Scale raw vectors."""
        scalars = (self.against_peers(self.logs(vectors)) - self.mean) / self.deviation
        return torch.cat(
            [
                scalars.clamp(-_MAX_SIGMAS, _MAX_SIGMAS),
                vectors[:, EMBEDDINGS].clamp(-1.0, 1.0) * self.embedding_scale * self.shown[EMBEDDINGS],
                vectors[:, MASKS].clamp(0.0, 1.0) * self.shown[MASKS],
            ],
            dim=1,
        )

    def logs(self, vectors: Tensor) -> Tensor:
        """The transformed scalars float32 [n, 16], the funnel left out of all of them where it is hidden."""
        scalars = vectors[:, :N_SCALARS].clamp(0.0, _MAX_RAW)
        if self.hide_funnel:
            funnel = scalars[:, list(FUNNEL_COLUMNS)].sum(dim=1, keepdim=True)
            events = (scalars[:, EVENTS : EVENTS + 1] - funnel).clamp(min=0.0)
            scalars = torch.cat([events, scalars[:, EVENTS + 1 :]], dim=1) * self.shown[:N_SCALARS]
        # One transform serves all 16 today; the assertion below fails at import if the layout asks for more.
        return torch.log1p(scalars)

    def against_peers(self, logs: Tensor) -> Tensor:
        """Deviations from what buyers with as many events do, float32 [n, 16]; axes.hat_weights in torch."""
        steps = (logs[:, EVENTS : EVENTS + 1] - self.knots[:-1]) / (self.knots[1:] - self.knots[:-1])
        steps = steps.clamp(0.0, 1.0)
        mean = self.by_events_mean[0] + steps @ self.by_events_mean.diff(dim=0)
        return (logs - mean) / (self.by_events_deviation[0] + steps @ self.by_events_deviation.diff(dim=0))


assert EVENTS == 0
assert all(scalar.transform == "log1p" for scalar in SCALARS)
