"""Simulated sessions through the live path: sent to Kafka, folded and tagged by workers, read back."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from feature_store.contract.events import Event, record_key
from feature_store.contract.partitions import partition_of
from feature_store.log.producer import Output
from feature_store.log.topics import end_offsets, partition_count
from feature_store.online.assignment import decode_assignment
from inference.bundles.bundle import Bundle
from ops.connection import Connection
from ops.errors import LoopError
from ops.replay.events import AsFastAsPossible, replay_events
from training.persona_llm.agents.loop import codes_of
from training.persona_llm.traces.traces import NO_CODE

log = structlog.get_logger()

_LOOK_S: Final = 0.2


class LivePath:
    """Encodes sessions by sending them; see training.persona_llm.agents.loop.Encode.

    Buyers get names of this loop's own and shop in `store`, so that no real buyer or store is touched.
    sessions and events: how many were sent. as_offline: sessions whose code is that of the offline fold of
    the events after which it was assigned: not every change of a code is (docs/adr/0056).
    """

    def __init__(self, live: Connection, store: str, wait_s: float) -> None:
        self._live, self._store, self._wait_s = live, store, wait_s
        self._name = f"loop-{uuid.uuid4().hex[:12]}"
        self.sessions = self.events = self.as_offline = 0

    def __call__(self, sessions: Sequence[Sequence[Event]], bundle: Bundle) -> NDArray[np.int64]:
        """Send sessions, wait until workers have folded them, and read what they say.

        Raises:
            LoopError: workers did not fold them in time, or answer with another codebook.
            ProducerError, TopicError, OnlineStoreError: a server does not answer.
        """
        first = self.sessions
        renamed = [
            [
                msgspec.structs.replace(event, store=self._store, buyer=f"{self._name}-{first + i}")
                for event in events
            ]
            for i, events in enumerate(sessions)
        ]
        self._send(renamed)
        codes, counts = self._read(renamed, bundle)
        self.sessions += len(sessions)
        then = [events[:count] for events, count in zip(renamed, counts.tolist(), strict=True)]
        self.as_offline += int((codes == codes_of(then, bundle)).sum())
        return codes

    def _send(self, sessions: Sequence[list[Event]]) -> None:
        output = Output(self._live.kafka, self._live.settings.flush_timeout_s)
        topic = self._live.settings.topic
        report = replay_events(sessions, output, topic, AsFastAsPossible(), stop=threading.Event())
        self.events += report.events
        log.info("loop_sent", events=report.events)
        partitions = list(range(partition_count(self._live.kafka, topic)))
        ends = end_offsets(self._live.kafka, topic, partitions)
        deadline = time.monotonic() + self._wait_s
        while not self._folded(ends):
            if time.monotonic() > deadline:
                raise LoopError(
                    f"workers have not folded the sessions within {self._wait_s:.0f} s: is one running?"
                )
            time.sleep(_LOOK_S)

    def _folded(self, ends: dict[int, int]) -> bool:
        progress = self._live.rows.progress_of(list(ends))
        done = {number: 0 if found is None else found.next_offset for number, found in progress.items()}
        return all(done[number] >= end for number, end in ends.items())

    def _read(
        self, sessions: Sequence[list[Event]], bundle: Bundle
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The code that was assigned last of each session, and after how many events: int64 [n] both."""
        codes, counts = np.full(len(sessions), NO_CODE, np.int64), np.zeros(len(sessions), np.int64)
        count = partition_count(self._live.kafka, self._live.settings.topic)
        wanted: dict[int, list[tuple[int, bytes]]] = {}
        for i, events in enumerate(sessions):
            if events:
                key = record_key(events[0].store, events[0].buyer)
                wanted.setdefault(partition_of(key, count), []).append((i, key))
        rows = self._live.rows.read_personas(
            {number: [key for _, key in keys] for number, keys in wanted.items()}
        )
        for number, keys in wanted.items():
            for (i, _), row in zip(keys, rows[number], strict=True):
                if row is None:
                    continue
                assignment = decode_assignment(row)
                if assignment.codebook_version != bundle.codebook_version:
                    raise LoopError(
                        f"workers assign codes of {assignment.codebook_version}, the sessions are of "
                        f"{bundle.codebook_version}: name the bundle that answers"
                    )
                codes[i], counts[i] = assignment.code, assignment.events
        return codes, counts
