"""Shadow mode: a candidate encodes beside the champion, and how often they agree is counted.

It runs in a thread of its own, takes a batch only when it has nothing to do, and rests between two so
that it never has more than its share of the time. What it does not take it skips; nothing waits for it.
"""

from __future__ import annotations

import queue
import threading
from typing import NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from inference.encoders.encoder import Encoder, Encoding
from streams.live.swap.duty_cycle import Share
from streams.metrics import WorkerMetrics

log = structlog.get_logger(__name__)


class _Batch(NamedTuple):
    """Vectors float32 [n, 403] and what the champion, with these types, said of them."""

    vectors: NDArray[np.float32]
    encoding: Encoding
    types: tuple[str, ...]


class Shadow:
    """At most one candidate at a time."""

    def __init__(self, metrics: WorkerMetrics, share: float) -> None:
        self._metrics, self._share = metrics, share
        self._running: _Comparison | None = None

    def begin(self, candidate: Encoder) -> None:
        """Compare with this candidate; the series of the one before it end."""
        self.end()
        self._metrics.begin_shadow(candidate.codebook_version)
        self._running = _Comparison(candidate, self._metrics, self._share)
        log.info("shadow_began", candidate=candidate.codebook_version)

    def end(self) -> None:
        """Compare no more; the counts stay readable until another candidate begins."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def offer(self, vectors: NDArray[np.float32], encoding: Encoding, types: tuple[str, ...]) -> None:
        """Hand over a batch, which nobody changes any more; skipped while the candidate is busy."""
        if self._running is not None and len(vectors):
            self._running.offer(_Batch(vectors, encoding, types))


class _Comparison:
    def __init__(self, candidate: Encoder, metrics: WorkerMetrics, share: float) -> None:
        self._candidate, self._metrics, self._time = candidate, metrics, Share(share)
        self._inbox: queue.Queue[_Batch] = queue.Queue(maxsize=1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, batch: _Batch) -> None:
        if self._thread.is_alive() and self._inbox.empty() and not self._time.wait_s:
            self._inbox.put_nowait(batch)  # the only producer found it empty: it is not full

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        version = self._candidate.codebook_version
        try:
            while not self._stopping.is_set():
                try:
                    batch = self._inbox.get(timeout=0.1)
                except queue.Empty:
                    continue
                with self._time.spend():
                    self._compare(version, batch)
        except Exception as error:  # whatever a candidate does, the champion goes on
            log.error("shadow_failed", candidate=version, cause=type(error).__name__, error=str(error))
            self._metrics.shadow_failed.inc()
        finally:
            self._candidate.close()

    def _compare(self, version: str, batch: _Batch) -> None:
        other, said = self._candidate.encode(batch.vectors), batch.encoding
        self._metrics.shadow_compared.labels(version).inc(len(said.code))
        self._metrics.shadow_same_code.labels(version).inc(int(np.count_nonzero(other.code == said.code)))
        if batch.types and self._candidate.types:
            theirs = np.array([*self._candidate.types, ""])[other.type]
            same = theirs == np.array([*batch.types, ""])[said.type]  # index -1, no type, is the last
            self._metrics.shadow_same_type.labels(version).inc(int(np.count_nonzero(same)))
