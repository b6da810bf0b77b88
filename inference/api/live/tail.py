"""The one Kafka reader of an API process: assignments from now on, erasures, keys and commands whole."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
from confluent_kafka import Message

from feature_store.errors import TopicError
from feature_store.log.tail import Tail

log = structlog.get_logger(__name__)

CLIENT: Final = "simpersona-api"
"""The name of the API's readers at the broker."""
_POLL_S: Final = 0.25
_RETRY_S: Final = 1.0

Handler = Callable[[list[Message]], None]


class LogTail:
    """Reads in a thread and hands messages over in the event loop's, a batch at a time.

    A batch is handed over only when the one before was taken, so that a busy loop slows the reader down
    and memory stays bounded.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        live: str,
        whole: Sequence[str],
        began: Callable[[list[int]], None],
        handle: Mapping[str, Handler],
    ) -> None:
        """live: topic read from its present end, which `began` is told (a partition's next offset each);
        whole: topics read from the beginning; handle: who takes a topic's messages."""
        self._config, self._live, self._whole = config, live, whole
        self._began, self._handle = began, handle
        self.caught_up = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ending = threading.Event()
        self._knows_all = False
        self._thread = threading.Thread(target=self._run, name="log-tail", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """End the thread."""
        self._ending.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        tail = Tail(self._config, CLIENT)
        try:
            while not self._ending.is_set() and not self._begin(tail):
                self._ending.wait(_RETRY_S)
            while not self._ending.is_set():
                by_topic, caught_up = tail.read(_POLL_S), tail.caught_up
                if by_topic or caught_up != self._knows_all:
                    self._on_loop(partial(self._hand_over, by_topic, caught_up))
                self._knows_all = caught_up
        finally:
            tail.close()

    def _begin(self, tail: Tail) -> bool:
        try:
            ends = tail.begin(self._live, self._whole)
        except TopicError as error:
            log.warning("kafka_away", error=str(error))
            return False
        self._on_loop(lambda: self._began(ends))
        return True

    def _hand_over(self, by_topic: dict[str, list[Message]], caught_up: bool) -> None:
        for topic, messages in by_topic.items():
            self._handle[topic](messages)
        if caught_up:
            self.caught_up.set()

    def _on_loop(self, call: Callable[[], None]) -> None:
        """Run in the event loop's thread and wait until it ran, or until this reader ends."""
        taken = threading.Event()

        def run() -> None:
            try:
                call()
            finally:
                taken.set()

        self._loop.call_soon_threadsafe(run)
        while not taken.wait(_POLL_S) and not self._ending.is_set():
            pass
