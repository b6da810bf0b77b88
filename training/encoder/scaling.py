"""Raw vectors -> what the encoder sees. A part of the model, so that it is exported with it."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from feature_store.contract.events import EVENT_TYPES
from feature_store.fold.vector import GAPS, KINDS, MASKS, N_SCALARS, SCALARS, SESSION

NUMBERS: Final = N_SCALARS + SESSION.stop - SESSION.start
RECENT: Final = KINDS.stop - KINDS.start
STEP: Final = len(EVENT_TYPES) + 1
"""What is seen of one of the latest events: its type, one-hot, and the log of the gap before it."""
INPUTS: Final = NUMBERS + MASKS.stop - MASKS.start + RECENT * STEP

_MAX_RAW: Final = 1e12
_REACH: Final = 4.0
"""Numbers end at so many deviations, smoothly: a history of years is no farther off than the busiest week."""
_GAP_UNIT: Final = 4.0
_FLAT: Final = 1e-3


class Scaling(nn.Module):
    """Raw vectors float32 [n, W] -> inputs float32 [n, INPUTS], always finite and bounded.

    Numbers (the 16 scalars, the session's block): log1p, zero mean and unit variance on the training rows,
    then r tanh(x / r) with r = 4. Masks as they are. The latest 16 events: type one-hot, log1p of the seconds
    since the event before, over 4. The embeddings are not seen: which products a shop sells tells less of its
    shoppers than it takes from an encoder that meets other shops (docs/adr/0054).
    """

    mean: Tensor
    deviation: Tensor
    kinds: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(NUMBERS))
        self.register_buffer("deviation", torch.ones(NUMBERS))
        self.register_buffer("kinds", torch.arange(1, len(EVENT_TYPES) + 1, dtype=torch.float32))

    @classmethod
    def fit(cls, vectors: NDArray[np.float32]) -> Self:
        """Take the scales of training rows float32 [n, W]. A constant number stays unscaled."""
        scaling = cls()
        logs = scaling.logs(torch.from_numpy(vectors)).double()
        deviation = logs.std(dim=0, correction=0)
        deviation[deviation < _FLAT] = 1.0
        scaling.mean.copy_(logs.mean(dim=0))
        scaling.deviation.copy_(deviation)
        return scaling

    def forward(self, vectors: Tensor) -> Tensor:
        """Scale raw vectors."""
        numbers = _REACH * torch.tanh((self.logs(vectors) - self.mean) / self.deviation / _REACH)
        gaps = torch.log1p(vectors[:, GAPS].clamp(0.0, _MAX_RAW)) / _GAP_UNIT
        kinds = (vectors[:, KINDS].unsqueeze(2) == self.kinds).to(vectors.dtype)
        order = torch.cat([kinds, gaps.unsqueeze(2)], dim=2).flatten(1)
        return torch.cat([numbers, vectors[:, MASKS].clamp(0.0, 1.0), order], dim=1)

    def logs(self, vectors: Tensor) -> Tensor:
        """log1p of the numbers, float32 [n, NUMBERS]."""
        numbers = torch.cat([vectors[:, :N_SCALARS], vectors[:, SESSION]], dim=1)
        return torch.log1p(numbers.clamp(0.0, _MAX_RAW))


assert all(scalar.transform == "log1p" for scalar in SCALARS)
