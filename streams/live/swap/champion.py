"""The encoder that answers, and what rows keep of its codebook version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import structlog
import xxhash
from numpy.typing import NDArray

from feature_store.online.encoding import Tagged
from inference.calibration.stated import stated
from inference.calibration.unseen import unseen, what_it_costs
from inference.encoders.encoder import Encoder, Encoding
from streams.live.calibrating import in_force
from streams.live.partition import Partition
from streams.metrics import WorkerMetrics

log = structlog.get_logger(__name__)


def version_hash(codebook_version: str) -> int:
    """The codebook version as a state row's header keeps it, a uint32."""
    return xxhash.xxh32_intdigest(codebook_version.encode())


class Champion:
    """Everything that assigns a persona asks here; it changes between two batches only, never inside one."""

    def __init__(self, encoder: Encoder, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._use(encoder)

    @property
    def name(self) -> str:
        """The codebook version that answers."""
        return self.encoder.codebook_version

    def encode(
        self,
        vectors: NDArray[np.float32],
        partitions: Mapping[int, Partition],
        stores: Sequence[str],
        numbers: Sequence[int],
        offsets: Sequence[int],
    ) -> Encoding:
        """What may be stated of n buyers; see Encoder.encode.

        vectors: raw, float32 [n, W]. Of each buyer the store, the number of their partition, and the offset
        of their last event: the calibration that held there is applied, whenever this is asked.
        """
        calibrations = in_force(partitions, self.name, stores, numbers, offsets)
        return stated(self.encoder.encode(vectors), stores, self.encoder.stores, calibrations)

    def tell_unseen(self, stores: Iterable[str]) -> None:
        """Log, once, which stores the codebook has never seen, and what that costs."""
        new = unseen(stores, self.encoder.stores | self._announced)
        if new:
            self._announced.update(new)
            log.warning("unseen_stores", codebook=self.name, note=what_it_costs(new))

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
        self._announced: set[str] = set()
        self.version = np.uint32(version_hash(encoder.codebook_version))
        self._metrics.codebook.labels(encoder.codebook_version).set(1)
