"""The encoder that answers, and what rows keep of its codebook version."""

from __future__ import annotations

import numpy as np
import xxhash

from feature_store.online.encoding import Tagged
from inference.encoders.encoder import Encoder
from streams.metrics import WorkerMetrics


def version_hash(codebook_version: str) -> int:
    """The codebook version as a state row's header keeps it, a uint32."""
    return xxhash.xxh32_intdigest(codebook_version.encode())


class Champion:
    """Everybody who says a persona asks here; it changes between two batches only, never inside one."""

    def __init__(self, encoder: Encoder, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._use(encoder)

    @property
    def name(self) -> str:
        """The codebook version that answers."""
        return self.encoder.codebook_version

    def replace(self, encoder: Encoder) -> Encoder:
        """Answer with another encoder from now on; returns the one before, to be closed."""
        before = self.encoder
        self._metrics.codebook.labels(before.codebook_version).set(0)
        self._use(encoder)
        return before

    def takes_over(self, tagged: Tagged | None) -> Tagged:
        """What to write of a partition that was tagged so: as it is where that was all under this version."""
        return Tagged(self.name, tagged is not None and tagged.version == self.name and tagged.all_of_them)

    def _use(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.version = np.uint32(version_hash(encoder.codebook_version))
        self._metrics.codebook.labels(encoder.codebook_version).set(1)
