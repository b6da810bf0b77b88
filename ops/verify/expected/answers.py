"""What encoders say of a partition's buyers, here, and what was assigned of them: arrays, one row a slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_store.online.assignment import confidence_bands
from inference.calibration.stated import stated
from inference.encoders.encoder import Encoder, Encoding, put
from ops.verify.expected.counts import Votes
from ops.verify.expected.ties import Answer, near_band, near_code, near_type

T = TypeVar("T", bound=np.generic)

NOTHING: Final = -2
"""Stands for the code, type and band of a buyer that a version has not looked at."""


class Answers:
    """What one encoder says of each buyer's present state, one row a slot; and what was assigned last."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.now = np.full((0, 3), NOTHING, dtype=np.int16)
        """Code, type and band of the present state."""
        self.assigned = np.full((0, 3), NOTHING, dtype=np.int16)
        """Code, type and band that were assigned last, or would have been."""
        self.is_near = np.zeros(0, dtype=np.bool_)
        self.figures = np.zeros((0, 3), dtype=np.float32)
        """Confidence, distance and margin of the present state."""

    def encode(self, vectors: NDArray[np.float32], keys: Sequence[bytes]) -> Encoding:
        """What the version may say of states, float32 [n, W], of the buyers with these Kafka keys."""
        stores = (key.decode().partition("|")[0] for key in keys)
        return stated(self.encoder.encode(vectors), stores, self.encoder.stores)

    def grow(self, rows: int) -> None:
        """Have room for so many slots."""
        more = rows - len(self.now)
        if more > 0:
            self.now = np.concatenate([self.now, np.full((more, 3), NOTHING, np.int16)])
            self.assigned = np.concatenate([self.assigned, np.full((more, 3), NOTHING, np.int16)])
            self.is_near = np.concatenate([self.is_near, np.zeros(more, np.bool_)])
            self.figures = np.concatenate([self.figures, np.zeros((more, 3), np.float32)])

    def type_of(self, index: int) -> str | None:
        """A type's name."""
        return self.encoder.types[index] if 0 <= index < len(self.encoder.types) else None

    def index_of(self, name: str | None) -> int:
        """A type's index; -1 for none, and for one that the bundle does not have."""
        return self.encoder.types.index(name) if name in self.encoder.types else -1


def may_stay(answer: Answer, code: int, same_type: bool, band: int) -> bool:
    """Whether a runtime that rounds otherwise may have found nothing new: the old answer is as near."""
    figures = (np.array([value], np.float32) for value in (answer.confidence, answer.distance, answer.margin))
    confidence, distance, margin = figures
    nothing = np.zeros(1, np.int64)
    if code != answer.code:
        return bool(
            near_code(Encoding(nothing, distance, margin, nothing, confidence, nothing, confidence))[0]
        )
    return (same_type or bool(near_type(confidence)[0])) and (
        band == answer.band or bool(near_band(confidence)[0]) or not same_type
    )


def votes_of(encoding: Encoding) -> Votes:
    """What buyers vote for where everything was assigned as it is here; arrays of its own, to be changed."""
    copied = encoding._replace(code=encoding.code.copy(), type=encoding.type.copy())
    return Votes(copied, confidence_bands(encoding.confidence), near_code(encoding))


def triples_of(encoding: Encoding) -> NDArray[np.int16]:
    """Code, type and band, int16 [n, 3]; rows that were not encoded stay as they are marked."""
    triples = np.column_stack([encoding.code, encoding.type, confidence_bands(encoding.confidence)])
    triples[encoding.code == NOTHING] = NOTHING
    return triples.astype(np.int16)


def is_known(triple: NDArray[np.int16]) -> bool:
    """Whether a version has looked at the state."""
    return bool(triple[0] != NOTHING)


def spread(encoding: Encoding, at: Sequence[int], n: int) -> Encoding:
    """An encoding of some rows among n; the others are of code NOTHING."""
    whole = Encoding(
        code=np.full(n, NOTHING, np.int64),
        distance=np.full(n, np.nan, np.float32),
        margin=np.full(n, np.nan, np.float32),
        type=np.full(n, NOTHING, np.int64),
        confidence=np.full(n, np.nan, np.float32),
        forecast=np.full(n, NOTHING, np.int64),
        forecast_probability=np.full(n, np.nan, np.float32),
    )
    put(whole, at, encoding)
    return whole


def previous(slots: NDArray[np.int64], after: NDArray[T], known: NDArray[T]) -> NDArray[T]:
    """What held before each entry: from the slot's entry before, here, or from what was known of the slot."""
    order = np.argsort(slots, kind="stable")
    before = np.empty_like(after)
    before[order[1:]] = after[order[:-1]]
    first = np.zeros(len(slots), dtype=np.bool_)
    first[np.unique(slots, return_index=True)[1]] = True
    before[first] = known[slots[first]]
    return before
