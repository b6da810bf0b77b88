"""Hands assignments and erasures to a sink, counts what became of them, and puts aside what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Final, TypeVar

import structlog
from confluent_kafka import Message

from feature_store.contract.erasure import encode_erasure
from feature_store.log.producer import Output
from streams.dead_letters import dead_letter, encode_dead_letter
from streams.sinks.background import in_background
from streams.sinks.metrics import SinkMetrics
from streams.sinks.sink import Answer, Item, Sink, Taken, Untold
from streams.sinks.telling import Erased

log = structlog.get_logger(__name__)

A = TypeVar("A", bound=Answer | Untold)

_LOOK_S: Final = 0.2
_GRACE_S: Final = 2.0
"""After `stop` a call may go on for so long: what is taken is better committed than sent again."""


class Delivery:
    """The way to one sink."""

    def __init__(self, name: str, sink: Sink, output: Output, dead_letters_topic: str) -> None:
        """name: of the sink, as registered. output: takes the dead letters."""
        self._name, self._sink = name, sink
        self._output, self._dead_letters_topic = output, dead_letters_topic
        self.stopping = False
        self.metrics = SinkMetrics(name)

    def assign(self, items: Sequence[Item]) -> Answer | None:
        """Deliver assignments; None: `stopping` was set, and the sink did not return in time."""
        answer = self._call(lambda: self._sink.deliver(items))
        if answer is None:
            return None
        self._count(answer)
        if isinstance(answer, Taken):
            self.metrics.assignments.inc(len(items))
            self.metrics.delay.set(time.time() - items[-1].assignment.assigned_at / 1000)
        return answer

    def tell(self, erased: Sequence[Erased]) -> Answer | None:
        """Tell of erasures; as `assign`."""
        answer = self._call(lambda: self._sink.erase(erased))
        if answer is None:
            return None
        if isinstance(answer, Untold):
            self.metrics.untold.inc(len(erased))
            log.warning("erasures_not_told", sink=self._name, buyers=len(erased))
            return Taken()
        self._count(answer)
        if isinstance(answer, Taken):
            self.metrics.erasures.inc(len(erased))
        return answer

    def bury(self, message: Message, reason: str, detail: str) -> None:
        """Make a record a dead letter."""
        place, raw = (message.topic(), message.partition(), message.offset()), message.value() or b""
        letter = encode_dead_letter(dead_letter(reason, detail, *place, raw, message.timestamp()[1]))
        self._put_aside(message.key(), letter)
        log.warning("assignment_refused", reason=reason, partition=place[1], offset=place[2], said=detail)

    def bury_erased(self, erased: Erased, detail: str) -> None:
        """Make an erasure that was refused a dead letter."""
        raw, asked_at = encode_erasure(erased.erasure), erased.erasure.requested_at
        reason = f"{self._name}_refused_erasure"
        self._put_aside(
            erased.key, encode_dead_letter(dead_letter(reason, detail, *erased.place, raw, asked_at))
        )
        log.warning("erasure_refused", partition=erased.place[1], offset=erased.place[2], said=detail)

    def _put_aside(self, key: bytes | None, letter: bytes) -> None:
        self._output.send(self._dead_letters_topic, key, letter)
        self.metrics.dead_letters.inc()

    def _count(self, answer: Answer) -> None:
        self.metrics.requests.labels(type(answer).__name__.lower()).inc()

    def _call(self, call: Callable[[], A]) -> A | None:
        """What the sink answers; None where it did not in time.

        The thread that is left behind knows no consumer, so it can commit nothing; `close` of the sink and
        the end of the process end it.
        """
        under_way, until = in_background(call), float("inf")
        while not wait((under_way,), _LOOK_S).done:
            if self.stopping:
                until = min(until, time.monotonic() + _GRACE_S)
            if time.monotonic() >= until:
                log.warning("delivery_given_up", sink=self._name)
                return None
        return under_way.result()
