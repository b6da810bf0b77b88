"""Erase commands on the control topic: each becomes a request in the log of the buyer's events.

The API and `simpersona erase` write requests themselves. Commands come from releases before this one, and
from programs that know the control topic alone. A worker that starts hears them all again; those whose
erasure is on its topic are done (docs/adr/0033).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Final

import structlog

from feature_store.contract.erasure import ErasureRequest
from feature_store.contract.partitions import partition_of
from feature_store.errors import LogError
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.erasures import ErasureLog

log = structlog.get_logger(__name__)

_AGAIN_S: Final = 5.0


class Forwarder:
    """Forwards commands in a thread of its own; who owns the buyer's partition writes the request.

    A command for another's partition is kept until its erasure is seen: its owner may die first.
    """

    def __init__(
        self,
        open_log: Callable[[], ErasureLog],
        open_writer: Callable[[], ErasureWriter],
        owned: Callable[[], Collection[int]],
        partition_count: int,
    ) -> None:
        """owned: the partitions of this worker now; asked from the forwarder's thread."""
        self._open_log, self._open_writer = open_log, open_writer
        self._writer = open_writer()
        self._owned, self._partition_count = owned, partition_count
        self._heard: queue.SimpleQueue[tuple[bytes, int]] = queue.SimpleQueue()
        self._wanted: dict[bytes, int] = {}
        threading.Thread(target=self._run, name="forwarder", daemon=True).start()

    def request(self, key: bytes, requested_at: int) -> None:
        """Have a buyer erased; of two commands for a buyer the later one holds."""
        self._heard.put((key, requested_at))

    def _run(self) -> None:
        while True:
            self._hear(*self._heard.get())
            erasures = self._open_log()  # who has commands pays for knowing all erasures, while they wait
            try:
                while self._wanted:
                    self._turn(erasures)
            finally:
                erasures.close()

    def _turn(self, erasures: ErasureLog) -> None:
        while not self._heard.empty():
            self._hear(*self._heard.get())
        try:
            erasures.refresh()
            self._wanted = {key: at for key, at in self._wanted.items() if not _is_known(erasures, key, at)}
            self._forward(self._wanted)
        except LogError as error:
            log.warning("erasures_not_forwarded", waiting=len(self._wanted), error=str(error))
            self._writer = self._open_writer()  # an idempotent producer may be beyond help
        if self._wanted:
            self._wait()

    def _hear(self, key: bytes, requested_at: int) -> None:
        self._wanted[key] = max(requested_at, self._wanted.get(key, 0))

    def _forward(self, wanted: Mapping[bytes, int]) -> None:
        owned = set(self._owned())
        mine = {
            key: ErasureRequest(requested_at=at)
            for key, at in wanted.items()
            if partition_of(key, self._partition_count) in owned
        }
        if mine:
            self._writer.ask(mine)
            log.info("erasures_forwarded", buyers=len(mine))
            self._wanted = {key: at for key, at in wanted.items() if key not in mine}

    def _wait(self) -> None:
        try:
            self._hear(*self._heard.get(timeout=_AGAIN_S))
        except queue.Empty:
            return


def _is_known(erasures: ErasureLog, key: bytes, requested_at: int) -> bool:
    known = erasures.by_key.get(key)
    return known is not None and known.requested_at >= requested_at
