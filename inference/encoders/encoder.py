"""The interface of all encoder runtimes: vectors in, codes out. Every runtime gives the same codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import VECTOR_SIZE
from inference.errors import InvalidVectorError


class Encoding(NamedTuple):
    """The encoder's results for n buyers, each of shape [n]."""

    code: NDArray[np.int64]
    """In [0, 256)."""
    distance: NDArray[np.float32]
    """From the latent to the code's codebook vector."""
    margin: NDArray[np.float32]
    """How much farther the second nearest code is."""
    type: NDArray[np.int64]
    """Index of the type that holds now, never one that a fact denies; -1 if there is none."""
    confidence: NDArray[np.float32]
    """Probability that `type` is still the buyer's type at the end of the session; NaN: not stated."""
    forecast: NDArray[np.int64]
    """Index of the type that is most likely at the end of the session; -1: no forecast."""
    forecast_probability: NDArray[np.float32]
    """Probability of `forecast`; NaN where there is none."""


def put(encoding: Encoding, at: Sequence[int] | NDArray[np.int64], found: Encoding) -> None:
    """Write the rows of `found` into the rows `at` of an encoding, in place."""
    columns = cast("tuple[NDArray[Any], ...]", encoding)
    for column, values in zip(columns, found, strict=True):
        column[at] = values


class Encoder(Protocol):
    """An encoder, in process or on a server."""

    codebook_version: str
    types: tuple[str, ...]
    """Names by type index; empty if the bundle has no types."""
    stores: frozenset[str]
    """Stores that its forecasts were learned on; of any other, none is stated (inference.calibration)."""

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        """Encode float32 [n, W] raw vectors (n may be 0).

        Raises:
            InvalidVectorError: a row is not finite or the shape is wrong; nothing was sent.
            EncoderUnavailableError: the runtime did not answer; the same call may succeed later.
        """
        ...

    def probe(self) -> None:
        """Check health by a real inference on fixed vectors, not by a ready flag.

        Raises:
            EncoderUnavailableError: the inference failed or gave other codes than the bundle's.
        """
        ...

    def close(self) -> None:
        """Release the resources of the runtime."""
        ...


def check_vectors(vectors: NDArray[np.float32]) -> None:
    """Refuse vectors that no graph may get.

    Raises:
        InvalidVectorError: wrong shape or dtype, or rows with NaN or inf (the message names the first ten).
    """
    if vectors.ndim != 2 or vectors.shape[1] != VECTOR_SIZE or vectors.dtype != np.float32:
        raise InvalidVectorError(
            f"expected float32 [n, {VECTOR_SIZE}], got {vectors.dtype} {list(vectors.shape)}"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise InvalidVectorError(f"{len(rows)} rows hold NaN or inf, first rows {rows[:10].tolist()}")
