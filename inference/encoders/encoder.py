"""What every encoder runtime does: vectors in, buyer codes out, the same codes from each."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import VECTOR_SIZE
from inference.errors import InvalidVectorError


class Encoding(NamedTuple):
    """What an encoder says of n buyers.

    code int64 [n] in [0, 256); distance float32 [n], from the latent to its codebook vector; margin
    float32 [n], how much farther the second nearest code is; type int64 [n], -1 where the bundle has
    no types; confidence float32 [n], probability that the type is the type at the end of the
    session, NaN where there is none.
    """

    code: NDArray[np.int64]
    distance: NDArray[np.float32]
    margin: NDArray[np.float32]
    type: NDArray[np.int64]
    confidence: NDArray[np.float32]


class Encoder(Protocol):
    """One interface, whatever runs the graph."""

    codebook_version: str
    types: tuple[str, ...]
    """Names by type index; empty where the bundle has no types."""

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        """Encode float32 [n, 403] raw vectors (n may be 0).

        Raises:
            InvalidVectorError: a row is not finite, or the shape is wrong; nothing was sent.
            EncoderUnavailableError: the runtime did not answer; the same call may succeed later.
        """
        ...

    def probe(self) -> None:
        """Health: one real inference on a fixed vector, not a ready flag.

        Raises:
            EncoderUnavailableError: the inference failed or gave another answer than at start.
        """
        ...

    def close(self) -> None:
        """Free what the runtime holds."""
        ...


def check_vectors(vectors: NDArray[np.float32]) -> None:
    """Refuse what no graph may see.

    Raises:
        InvalidVectorError: wrong shape or dtype, or rows with NaN or inf (the first ten are named).
    """
    if vectors.ndim != 2 or vectors.shape[1] != VECTOR_SIZE or vectors.dtype != np.float32:
        raise InvalidVectorError(
            f"expected float32 [n, {VECTOR_SIZE}], got {vectors.dtype} {list(vectors.shape)}"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise InvalidVectorError(f"{len(rows)} rows hold NaN or inf, first rows {rows[:10].tolist()}")
