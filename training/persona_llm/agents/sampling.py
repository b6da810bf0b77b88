"""How an agent's next token is drawn from the logits of its model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def exaggerated(persona: Tensor, nobody: Tensor, guidance: float) -> Tensor:
    """Logits [n, vocabulary], `guidance` times as far from `nobody`, the logits without a persona token."""
    return nobody + guidance * (persona - nobody)


def sample(
    logits: Tensor, allowed: NDArray[np.bool_], random: np.random.Generator, temperature: float
) -> NDArray[np.int64]:
    """Draw the next token of each row, int64 [n], by softmax(logits / temperature) over the allowed ones.

    logits [n, vocabulary or more]; allowed bool [n, vocabulary], one or more in each row.
    """
    scores = logits[:, : allowed.shape[1]].float().cpu().numpy() / temperature
    scores = np.where(allowed, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    cumulated = weights.cumsum(axis=1)
    draws = random.random(len(allowed)) * cumulated[:, -1]
    tokens: NDArray[np.int64] = (cumulated <= draws[:, None]).sum(axis=1)
    return tokens
