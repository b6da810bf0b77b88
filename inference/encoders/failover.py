"""Failover: while the primary encoder is away, encode with a fallback or wait, and return to the primary."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import structlog
from numpy.typing import NDArray

from inference.encoders.encoder import Encoder, Encoding
from inference.errors import EncoderUnavailableError

Mode = Literal["primary", "degraded", "waiting"]
"""primary: as configured; degraded: the fallback encodes; waiting: neither does, and the caller retries."""

log = structlog.get_logger(__name__)


class FailoverEncoder:
    """A primary encoder and, optionally, a fallback with the same bundle and so with the same codes.

    After a failure the primary is probed with a real inference every retry_s seconds, and is used again as
    soon as a probe succeeds. A batch is encoded by one of the two, or refused as a whole.
    """

    def __init__(
        self,
        primary: Encoder,
        fallback: Encoder | None,
        on_mode_change: Callable[[Mode], None],
        retry_s: float,
        clock: Callable[[], float] = time.monotonic,
        repair: Callable[[], None] = lambda: None,
    ) -> None:
        """repair: called when a probe of a failed primary fails too; it must return at once."""
        self.codebook_version = primary.codebook_version
        self.types = primary.types
        self.stores = primary.stores
        self.mode: Mode = "primary"
        self._primary = primary
        self._fallback = fallback
        self._on_mode_change = on_mode_change
        self._retry_s = retry_s
        self._clock = clock
        self._repair = repair
        self._retry_at = 0.0

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        """Encode with the primary, else with the fallback; see Encoder.

        Raises:
            InvalidVectorError: see Encoder.
            EncoderUnavailableError: the primary is away, and there is no fallback or it failed too.
        """
        if self._primary_is_back():
            try:
                return self._primary.encode(vectors)
            except EncoderUnavailableError as error:
                self.fail(error)
                if self._fallback is None:
                    raise
        if self._fallback is None:
            raise self._away()
        return self._fallback.encode(vectors)

    def fail(self, error: EncoderUnavailableError) -> None:
        """Stop using the primary until a probe of it succeeds."""
        self._retry_at = self._clock() + self._retry_s
        self._enter("waiting" if self._fallback is None else "degraded", str(error))

    def probe(self) -> None:
        """Probe the primary, else the fallback; see Encoder."""
        if self._primary_is_back():
            try:
                return self._primary.probe()
            except EncoderUnavailableError as error:
                self.fail(error)
                if self._fallback is None:
                    raise
        if self._fallback is None:
            raise self._away()
        return self._fallback.probe()

    def close(self) -> None:
        """Close both."""
        self._primary.close()
        if self._fallback is not None:
            self._fallback.close()

    def _primary_is_back(self) -> bool:
        if self.mode == "primary":
            return True
        if self._clock() < self._retry_at:
            return False
        try:
            self._primary.probe()
        except EncoderUnavailableError as error:
            self.fail(error)
            self._repair()
            return False
        self._enter("primary", None)
        return True

    def _away(self) -> EncoderUnavailableError:
        return EncoderUnavailableError(f"the encoder is away; it is tried again every {self._retry_s} s")

    def _enter(self, mode: Mode, cause: str | None) -> None:
        if mode == self.mode:
            return
        self.mode = mode
        log.warning("encoder_mode", mode=mode, cause=cause)
        self._on_mode_change(mode)
