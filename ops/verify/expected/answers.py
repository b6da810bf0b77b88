"""What encoders say of a partition's buyers, here, and what was assigned of them: arrays, one row a slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_store.online.assignment import Assignment
from feature_store.online.changes import SENT, Sent, as_sent
from inference.calibration.stated import stated
from inference.encoders.encoder import Encoder, Encoding, put
from ops.verify.expected.assigned import Word, said
from ops.verify.expected.ties import Answer

NOTHING: Final = -2
"""Stands for the code of a buyer that a version has not looked at, or never spoke of."""


class Answers:
    """What one encoder says of each buyer's present state, one row a slot; and what was sent last.

    Columns are those of feature_store.online.changes.SENT.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.now = np.full((0, len(SENT)), NOTHING, dtype=np.int16)
        """Of the present state."""
        self.sent = np.full((0, len(SENT)), NOTHING, dtype=np.int16)
        """What was sent last, or should have been."""
        self.is_near = np.zeros(0, dtype=np.bool_)
        """Whether another runtime may say otherwise of the present state."""
        self.is_loose = np.zeros(0, dtype=np.bool_)
        """Whether the owner may have gone on from something else that was as right as what was sent last."""
        self.figures = np.zeros((0, 4), dtype=np.float32)
        """Confidence, the forecast's probability, distance and margin of the present state."""

    def grow(self, rows: int) -> None:
        """Have room for so many slots."""
        more = rows - len(self.now)
        if more > 0:
            nothing, no = np.full((more, len(SENT)), NOTHING, np.int16), np.zeros(more, np.bool_)
            self.now, self.sent = np.concatenate([self.now, nothing]), np.concatenate([self.sent, nothing])
            self.is_near = np.concatenate([self.is_near, no])
            self.is_loose = np.concatenate([self.is_loose, no])
            self.figures = np.concatenate([self.figures, np.zeros((more, 4), np.float32)])

    def look(
        self, slots: NDArray[np.int64], encoding: Encoding, now: Sent, is_near: NDArray[np.bool_]
    ) -> None:
        """These are the present states, of a slot that comes several times the last."""
        self.now[slots], self.is_near[slots] = now, is_near
        chances = encoding.confidence, encoding.forecast_probability
        self.figures[slots] = np.column_stack([*chances, encoding.distance, encoding.margin])

    def answer(self, encoding: Encoding, i: int) -> Answer:
        """The row `i` of an encoding of this version."""
        code, distance, margin, kind, confidence, forecast, chance = (column[i].item() for column in encoding)
        types = self.type_of(kind), self.type_of(forecast)
        return Answer(code, types[0], confidence, types[1], chance, distance, margin)

    def final(self, slot: int) -> Answer | None:
        """What it says of a buyer's last state; None where it was not asked."""
        code, kind, _, forecast, _ = self.now[slot].tolist()
        if code == NOTHING:
            return None
        confidence, chance, distance, margin = self.figures[slot].tolist()
        return Answer(code, self.type_of(kind), confidence, self.type_of(forecast), chance, distance, margin)

    def sent_by(self, word: Word | Assignment) -> tuple[int, int, int, int, int]:
        """An assignment in the columns SENT."""
        kind, band, forecast, forecast_band = said(word)
        return word.code, self.index_of(kind), band, self.index_of(forecast), forecast_band

    def encode(self, vectors: NDArray[np.float32], keys: Sequence[bytes]) -> Encoding:
        """What the version may say of states, float32 [n, W], of the buyers with these Kafka keys."""
        stores = (key.decode().partition("|")[0] for key in keys)
        return stated(self.encoder.encode(vectors), stores, self.encoder.stores)

    def type_of(self, index: int) -> str | None:
        """A type's name."""
        return self.encoder.types[index] if 0 <= index < len(self.encoder.types) else None

    def index_of(self, name: str | None) -> int:
        """A type's index; -1 for none, and for one that the bundle does not have."""
        return self.encoder.types.index(name) if name in self.encoder.types else -1


def now_of(encoding: Encoding) -> Sent:
    """What holds, int16 [n, 5]; rows that were not encoded stay of code NOTHING."""
    code, _, _, kind, confidence, forecast, chance = encoding
    return as_sent(code, kind, confidence, forecast, chance)


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
