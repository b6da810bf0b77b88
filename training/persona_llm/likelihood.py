"""How likely a model holds real sessions to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.persona_llm.base import Base
from training.persona_llm.prompts import IGNORED, batch, example
from training.persona_llm.traces import Trace

_AT_ONCE = 64
_MAX_TOKENS = 256


@torch.inference_mode()
def log_likelihood(
    base: Base, traces: Sequence[Trace], codes: NDArray[np.int64], *, given: int = 0, named: bool = True
) -> NDArray[np.float64]:
    """Log-likelihood of each session's actions after the first `given`, in nats, float64 [n].

    Neutral goals; codes int64 [n], NO_CODE for none. Of a model that plans it is that of the session's own
    plan and then the actions, a lower bound. The end of a session longer than 256 tokens is left out.
    """
    device = next(base.model.parameters()).device
    out = np.zeros(len(traces))
    order = sorted(range(len(traces)), key=lambda i: len(traces[i].steps))  # less padding
    for start in range(0, len(order), _AT_ONCE):
        chosen = order[start : start + _AT_ONCE]
        rows = [
            example(
                traces[i],
                int(codes[i]),
                "neutral",
                base.tokenizer,
                given=given,
                named=named,
                plans=base.plans,
            )
            for i in chosen
        ]
        inputs = batch(rows, int(base.tokenizer.pad_token_id), _MAX_TOKENS)
        labels = inputs.pop("labels")[:, 1:].to(device)
        logits = base.model(**{name: part.to(device) for name, part in inputs.items()}).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(
            logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
        )
        out[chosen] = -losses.sum(dim=1).double().cpu().numpy()
    return out
