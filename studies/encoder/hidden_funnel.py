"""Buyers as a shop sees them whose pixel sends nothing of the funnel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS
from training.encoder.axes import EVENTS, FUNNEL_COLUMNS, MIN_EVENTS, MONEY_COLUMNS
from training.encoder.dataset import training_rows
from training.evaluation.points import Points, Vectors, select

FUNNEL_EVENTS: Final = frozenset(
    {"add_to_cart", "remove_from_cart", "view_cart", "begin_checkout", "add_payment_info", "purchase"}
)
_CARTED_AND_BOUGHT: Final = slice(EMBEDDINGS.start + EMBEDDING_SIZE, EMBEDDINGS.stop)
_OF_FUNNEL: Final = np.r_[
    list(FUNNEL_COLUMNS), list(MONEY_COLUMNS), _CARTED_AND_BOUGHT, MASKS.start + 1 : MASKS.stop
]


def without_funnel(batches: Iterable[Sequence[Event]]) -> Iterator[list[Event]]:
    """The events that a shop whose pixel sends nothing of the funnel would have sent."""
    for batch in batches:
        yield [event for event in batch if event.type not in FUNNEL_EVENTS]


def hidden_funnel(points: Points, batches: Iterable[Sequence[Event]]) -> Points:
    """The same buyers, on the same sides, in rows of which only the funnel columns know of the funnel.

    Everything else, counts and times too, is folded from the other events alone, and `events` is their
    number plus the funnel events: an encoder with TrainConfig.hide_funnel sees nothing of the funnel (not
    even through events less steps), while its heads' targets and the strata stay those of the whole
    history. One row per buyer. Who has fewer than MIN_EVENTS visible events is left out. `batches`: the
    events that `points` were folded from.
    """
    place = {key: i for i, key in enumerate(points.data.buyers)}
    seen = training_rows(
        ([e for e in batch if (e.store, e.buyer) in place] for batch in without_funnel(batches)),
        positions=(),
    )
    old = np.array([place[key] for key in seen.buyers], dtype=np.int64)
    rows = points.data.vectors[old]
    vectors = np.array(seen.vectors)
    kept = np.flatnonzero(vectors[:, EVENTS] >= MIN_EVENTS)
    vectors[:, _OF_FUNNEL] = rows[:, _OF_FUNNEL]
    vectors[:, EVENTS] += rows[:, list(FUNNEL_COLUMNS)].sum(axis=1)
    data = select(seen._replace(vectors=vectors), kept)
    return Points(data, points.stores, points.store[old[kept]], points.side[old[kept]])


def hidden_columns(vectors: Vectors) -> NDArray[np.float64]:
    """Vectors with nothing of the funnel, raw float64 [n, W]: what may be seen of rows of hidden_funnel."""
    out = vectors.astype(np.float64)
    out[:, EVENTS] -= vectors[:, list(FUNNEL_COLUMNS)].sum(axis=1)
    out[:, _OF_FUNNEL] = 0.0
    return out
