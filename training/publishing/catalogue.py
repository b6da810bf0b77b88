"""Cards of the codes, made from the training buyers alone: nothing in them is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from feature_store.contract.events import Event
from feature_store.fold.funnel import STRATA, strata
from feature_store.history.offline_fold import BuyerKey
from feature_store.online.assignment import token
from inference.bundles.catalogue import Catalogue, CodeCard, Estimate
from inference.encoders.graph import CODES
from training.encoder.quantizers.moving_averages import EmaQuantizer
from training.publishing.percentiles import AXES, mean_percentiles
from training.publishing.sessions import SharedShapes, longest_sessions
from training.types.types import TypeGroups

_SHOWN_BUYERS: Final = 200
"""Of each code, so many buyers nearest its centre lend their sessions: typical, and bounded in memory."""
_NEAREST: Final = 5
_Z: Final = 1.96

Ints = NDArray[np.int64]


def make_catalogue(
    buyers: Sequence[BuyerKey],
    vectors: NDArray[np.float32],
    codes: Ints,
    distance: NDArray[np.float32],
    quantizer: EmaQuantizer,
    groups: TypeGroups | None,
    events: Iterable[Sequence[Event]] = (),
) -> Catalogue:
    """The catalogue of a codebook, from its training buyers' whole histories.

    buyers [n] with vectors float32 [n, W] raw, codes int64 [n] and distance float32 [n] to the code's
    centre; quantizer: the codebook and the cell of each code. groups: their types, if the bundle has any.
    events: the same history once more, in batches; without it, cards have no sessions.
    """
    stores = np.array([store for store, _ in buyers])
    counts = np.bincount(codes, minlength=CODES)
    stratum = strata(vectors)
    axes = mean_percentiles(vectors, stores, codes)
    nearest = _nearest(quantizer.codebook.detach().numpy(), counts)
    cells = quantizer.cell_of_code.tolist()
    order = np.lexsort((distance, codes))
    members = [order[start : start + n] for start, n in zip(np.cumsum(counts) - counts, counts, strict=True)]
    shown = [[buyers[row] for row in rows[:_SHOWN_BUYERS].tolist()] for rows in members]
    shapes = SharedShapes(longest_sessions(events, {key for keys in shown for key in keys}))
    cards = []
    for code in range(CODES):
        kind = None if groups is None else groups.types[groups.type_of_code[code]].name
        if counts[code] == 0:
            cards.append(
                CodeCard(code=code, token=token(code), type=kind, cell=cells[code], nearest=nearest[code])
            )
            continue
        cards.append(
            CodeCard(
                code=code,
                token=token(code),
                type=kind,
                cell=cells[code],
                share=round(float(counts[code] / len(codes)), 6),
                buyers=int(counts[code]),
                funnel=funnel_mix(stratum[members[code]]),
                axes=dict(zip(AXES, axes[code].tolist(), strict=True)),
                typical=shapes.typical(shown[code]),
                prototype=shapes.prototype(shown[code]),
                nearest=nearest[code],
            )
        )
    return Catalogue(
        types=() if groups is None else groups.types,
        codes=tuple(cards),
        buyers=len(codes),
        funnel=funnel_mix(stratum),
    )


def funnel_mix(stratum: Ints) -> dict[str, Estimate]:
    """Share of each stratum among buyers int64 [n >= 1], with Wilson's interval (Wilson 1927)."""
    counts = np.bincount(stratum, minlength=len(STRATA))
    return {name: wilson(int(count), len(stratum)) for name, count in zip(STRATA, counts, strict=True)}


def wilson(hits: int, n: int) -> Estimate:
    """A share of n >= 1 trials and its 95 % score interval, which holds also at 0 and at n."""
    share, z2 = hits / n, _Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5
    low = 0.0 if hits == 0 else middle - half
    high = 1.0 if hits == n else middle + half
    return Estimate(round(share, 4), round(low, 4), round(high, 4))


def _nearest(codebook: NDArray[np.float32], counts: Ints) -> list[tuple[int, ...]]:
    distances = cdist(codebook, codebook)
    np.fill_diagonal(distances, np.inf)
    distances[:, counts == 0] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :_NEAREST]
    return [
        tuple(int(other) for other in row if np.isfinite(distances[code, other]))
        for code, row in enumerate(order)
    ]
