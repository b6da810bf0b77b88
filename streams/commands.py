"""Obeying the control topic: which commands still stand when a worker starts, and each new one.

A command that cannot be obeyed changes nothing: one line in the log, one on a metric, and what
answered before goes on answering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from feature_store.contract.calibration import Calibration
from feature_store.contract.events import record_key
from feature_store.log.reader import LogReader
from inference.encoders.encoder import Encoder
from inference.errors import BundleError, InferenceError
from streams.control import Erase, Shadow, Swap, decode_command
from streams.live.loop import ConsumerLoop
from streams.metrics import WorkerMetrics

log = structlog.get_logger(__name__)

Load = Callable[[str], Encoder]


class Standing(NamedTuple):
    """What the control topic says up to an offset: the bundles swapped to, the last one first, the
    candidate that is in the shadow of the last one, and the next offset."""

    swaps: list[str]
    shadow: str | None
    known: int


def read_standing(config: dict[str, Any], topic: str) -> Standing:
    """Read the control topic up to its present end.

    Raises:
        TopicError: it cannot be read.
    """
    swaps: list[str] = []
    shadow, known = None, 0
    with LogReader(config) as reader:
        for messages in reader.read(topic, 0):
            for message in messages:
                known = message.offset() + 1
                try:
                    command = decode_command(message.value())
                except msgspec.MsgspecError:
                    continue  # refused, and said so, by who heard it live
                if isinstance(command, Swap):
                    swaps.insert(0, command.bundle)
                    shadow = None
                elif isinstance(command, Shadow):
                    shadow = command.bundle
    return Standing(swaps, shadow, known)


def first_that_loads(bundles: Sequence[str], load: Load, metrics: WorkerMetrics) -> Encoder:
    """The encoder of the first bundle that can be served: one that cannot was refused by every worker.

    Raises:
        BundleError: the last one cannot be served either.
    """
    for bundle in bundles[:-1]:
        try:
            return load(bundle)
        except BundleError as error:
            _failed("swap", metrics, bundle, error)
    return load(bundles[-1])


class Commander:
    """Obeys commands, in their order; `obey` is a coroutine so that loading a bundle holds nothing up."""

    def __init__(
        self,
        loop: ConsumerLoop,
        load: Load,
        load_shadow: Load,
        erase: Callable[[bytes, int], None],
        metrics: WorkerMetrics,
        known: int,
    ) -> None:
        """`load_shadow` opens a candidate; `erase` is told keys, and when each was asked for (ms UTC);
        swaps and shadows below offset `known` are history."""
        self._loop, self._load, self._load_shadow = loop, load, load_shadow
        self._erase, self._metrics, self._known = erase, metrics, known

    async def obey(self, raw: bytes, offset: int) -> None:
        """Do what a record says."""
        try:
            command = decode_command(raw)
        except msgspec.MsgspecError as error:
            log.error("command_refused", offset=offset, error=str(error))
            self._metrics.commands_failed.labels("unreadable").inc()
            return
        match command:
            case Erase(store=store, buyer=buyer, requested_at=requested_at):
                key = record_key(store, buyer)
                self._erase(key, requested_at)
            case Calibration():
                pass  # a copy: what holds is in the log of each partition (streams.live.calibrating)
            case Swap() | Shadow() if offset < self._known:
                pass
            case Swap(bundle=bundle):
                await self.swap(bundle)
            case Shadow(bundle=None):
                self._loop.submit(lambda it: it.tagger.shadow.end())
            case Shadow(bundle=str() as bundle):
                await self.shadow(bundle)

    async def swap(self, bundle: str) -> None:
        """Answer with another bundle."""
        try:
            encoder = await asyncio.to_thread(self._load, bundle)
        except InferenceError as error:
            _failed("swap", self._metrics, bundle, error)
        else:
            self._loop.submit(lambda it: it.swap(encoder))

    async def shadow(self, bundle: str) -> None:
        """Let a candidate tag beside the champion."""
        try:
            encoder = await asyncio.to_thread(self._load_shadow, bundle)
        except InferenceError as error:
            _failed("shadow", self._metrics, bundle, error)
        else:
            self._loop.submit(lambda it: it.tagger.shadow.begin(encoder))


def _failed(kind: str, metrics: WorkerMetrics, bundle: str, error: InferenceError) -> None:
    log.error("command_failed", kind=kind, bundle=bundle, error=str(error))
    metrics.commands_failed.labels(kind).inc()
