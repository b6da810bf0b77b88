"""A shopper in words instead of a token: what a prompt alone can carry of a buyer's vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from training.encoder.axes import Axes
from training.persona_llm.traces.traces import Trace

WORDS: Final[tuple[tuple[str, ...], ...]] = (
    ("Stays briefly", "Stays a while", "Stays long"),
    (", keeps to few products", ", compares some products", ", explores many products"),
    (", bought before. ", ", came as far as the checkout. ", ", filled a cart. ", ", only looks. "),
)
"""By level of engagement, of exploration, and by stratum (training.encoder.axes)."""


def with_profiles(traces: Sequence[Trace], vectors: NDArray[np.float32]) -> list[Trace]:
    """The traces with a line of words before each goal and one and the same token, 0, for everybody.

    vectors float32 [n, 403]: of everything each buyer did; levels are fitted on training sessions.
    """
    training = np.array([trace.split == "train" for trace in traces])
    levels = Axes.fit(vectors[training]).levels(vectors)
    out = []
    for i, trace in enumerate(traces):
        described = "".join(words[int(level[i])] for words, level in zip(WORDS, levels, strict=True))
        out.append(
            replace(
                trace,
                codes=dict.fromkeys(trace.codes, 0),
                neutral=described + trace.neutral,
                explicit=described + trace.explicit,
                wrong=described + trace.wrong,
            )
        )
    return out
