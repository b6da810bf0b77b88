"""How likely a model holds real sessions to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from training.persona_llm.model.base import Base
from training.persona_llm.model.plans import same_aims
from training.persona_llm.model.prompts import IGNORED, Example, batch, example
from training.persona_llm.storefront.actions import ACTIONS
from training.persona_llm.traces.traces import Trace

_AT_ONCE: Final = 64
_MOST_TOKENS: Final = 1024


def log_likelihood(
    base: Base, traces: Sequence[Trace], codes: NDArray[np.int64], *, given: int = 0, named: bool = True
) -> NDArray[np.float64]:
    """Log-likelihood of each session's actions after the first `given`, in nats, float64 [n].

    Neutral goals; codes int64 [n], NO_CODE for none. Of a model that plans it is summed over the plans with
    the session's own aims; other plans are left out, so it is a lower bound, by little. A token beyond the
    model's context, or 1024, counts as if every action were as likely.
    """
    order = sorted(range(len(traces)), key=lambda i: len(traces[i].steps))  # less padding
    choices = len(same_aims([])) if base.plans else 1
    out = np.full((len(traces), choices), -np.inf)
    for start in range(0, len(order), _AT_ONCE):
        chosen = order[start : start + _AT_ONCE]
        for choice in range(choices):
            rows = [
                example(
                    traces[i],
                    int(codes[i]),
                    "neutral",
                    base.tokenizer,
                    given=given,
                    named=named,
                    plan=same_aims(traces[i].actions[given:])[choice] if base.plans else "",
                )
                for i in chosen
            ]
            out[chosen, choice] = _of(base, rows)
    return np.asarray(np.logaddexp.reduce(out, axis=1))


@torch.inference_mode()
def _of(base: Base, rows: Sequence[Example]) -> NDArray[np.float64]:
    """Log-likelihood of what is written in each example, float64 [n]."""
    most = min(_MOST_TOKENS, base.model.config.max_position_embeddings)
    device = next(base.model.parameters()).device
    inputs = batch(rows, int(base.tokenizer.pad_token_id), most)
    labels = inputs.pop("labels")[:, 1:].to(device)
    logits = base.model(**{name: part.to(device) for name, part in inputs.items()}).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    beyond = np.array([max(0, len(row.prompt) + len(row.written) - most) for row in rows])
    found: NDArray[np.float64] = -losses.sum(dim=1).double().cpu().numpy()
    return found - beyond * math.log(len(ACTIONS))
