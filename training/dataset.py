"""Events -> training rows, by the one fold, with prefix augmentation and a split by buyer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.events import Event
from feature_store.history import BuyerKey, History
from feature_store.vector import SCALARS, VECTOR_SIZE

_EVENTS_COLUMN = [scalar.name for scalar in SCALARS].index("events")


class BuyerVectors(NamedTuple):
    """Training rows: vectors float32 [n, 403] raw; buyer int64 [n], a row's index into buyers; whole
    bool [n], True for the row of a buyer's whole history (one a buyer), False for a prefix."""

    buyers: list[BuyerKey]
    vectors: NDArray[np.float32]
    buyer: NDArray[np.int64]
    whole: NDArray[np.bool_]


def describe_source(path: Path, events: int) -> str:
    """What a manifest says of a file or archive folder: name, events read, SHA-256 of the file(s)."""
    parts = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    hashes = [_sha256(part) for part in parts]
    whole = hashes[0] if path.is_file() else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return f"{path.name}, {events} events, sha256 {whole}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def training_rows(batches: Iterable[Sequence[Event]], prefixes: Sequence[int]) -> BuyerVectors:
    """Fold a history, given in arrival order, into training rows.

    A buyer of e events gives one row for all of them and one for each prefix p < e: how they looked
    after p events, so that the early states which live traffic is full of are in distribution.
    """
    whole = History()
    histories = {prefix: History(prefix=prefix) for prefix in sorted(set(prefixes))}
    for batch in batches:
        for history in (whole, *histories.values()):
            history.add(batch)
    vectors = whole.vectors() if whole.buyers else np.empty((0, VECTOR_SIZE), np.float32)
    # Every history meets the buyers in the same order, so row i is the same buyer in each.
    longer = {p: np.flatnonzero(vectors[:, _EVENTS_COLUMN] > p) for p in histories}
    early = [history.vectors()[longer[p]] for p, history in histories.items() if len(longer[p])]
    return BuyerVectors(
        buyers=whole.buyers,
        vectors=np.concatenate([vectors, *early]),
        buyer=np.concatenate([np.arange(len(vectors)), *longer.values()]).astype(np.int64),
        whole=np.arange(len(vectors) + sum(map(len, early))) < len(vectors),
    )


def split_by_buyer(
    data: BuyerVectors, validation_share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows to validate on (int64 each); all rows of a buyer fall on one side."""
    order = np.random.default_rng(seed).permutation(len(data.buyers))
    held_out = np.zeros(len(data.buyers), dtype=np.bool_)
    held_out[order[: max(1, round(validation_share * len(order)))]] = True
    side = held_out[data.buyer]
    return np.flatnonzero(~side), np.flatnonzero(side)
