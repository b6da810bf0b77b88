"""The Faust app: process, life cycle, control agents. The clickstream runs beside it, in a thread.

Faust starts what is handed to its Worker before the app itself, and the app waits for its own
consumer group. The loop is such a service, so that events flow while Faust is still joining, and
also when Faust's control plane cannot join at all (docs/adr/0003).
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import threading
import time
import uuid
from functools import partial
from pathlib import Path
from typing import Any, Final

import faust
import structlog
from mode import Service

from feature_store.log.clients import worker_consumer
from feature_store.log.config import KafkaSettings, check_connection, faust_credentials, librdkafka_config
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from feature_store.log.topics import end_offsets, partition_count
from feature_store.log.whole_topic import WholeTopic
from feature_store.online.rows import OnlineRows
from feature_store.settings import HomeSettings
from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from inference.counts.offline import warm_up
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder
from inference.encoders.onnx import OnnxEncoder
from inference.encoders.settings import EncoderSettings, make_encoder
from streams.commands import Commander, first_that_loads, read_standing
from streams.erasures.forwarding import Forwarder
from streams.live.clock import SystemClock
from streams.live.loop import ConsumerLoop
from streams.live.pending import PendingErasures, folded_to
from streams.live.tagger import Tagger
from streams.metrics import WorkerMetrics, serve_metrics
from streams.settings import WorkerSettings

log = structlog.get_logger(__name__)

_SPARE_S: Final = 8.0
"""Beyond the longest wait for Kafka, before a worker that was told to end is ended."""


class LiveLoop(Service):  # type: ignore[misc]
    """Runs the consumer loop in a thread for as long as the worker lives."""

    def __init__(self, loop: ConsumerLoop, **kwargs: Any) -> None:
        self.loop_thread = threading.Thread(target=self._run, name="clickstream", daemon=True)
        self._consumer_loop = loop
        self._error: BaseException | None = None
        super().__init__(**kwargs)

    async def on_start(self) -> None:
        """Start consuming at once."""
        self.loop_thread.start()

    async def on_stop(self) -> None:
        """Finish the checkpoint and leave the group."""
        self._consumer_loop.stop()
        await asyncio.to_thread(self.loop_thread.join)

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch(self) -> None:
        await asyncio.to_thread(self.loop_thread.join)
        if self._error is not None:
            await self.crash(self._error)

    def _run(self) -> None:
        try:
            self._consumer_loop.run()
        except BaseException as error:  # the thread's last words: crash() hands them to the process
            log.error("loop_failed", cause=type(error).__name__, error=str(error))
            self._error = error


class LiveWorker(faust.Worker):  # type: ignore[misc]
    """A Faust worker whose clickstream loop stops first: Faust may still be joining its group.

    patience_s: a process that has not ended so long after it was told to is ended, with what its threads
    did in the log. That is as safe as SIGKILL, and no supervisor waits for a client that hangs in a join.
    """

    def __init__(self, app: faust.App, live: LiveLoop, loop: ConsumerLoop, patience_s: float) -> None:
        self._consumer_loop = loop
        self._patience_s = patience_s
        super().__init__(app, live, quiet=True, redirect_stdouts=False, loglevel="WARN")
        self.spinner = None  # logs are for machines here

    def _on_sigterm(self) -> None:
        self._end()
        super()._on_sigterm()

    def _on_sigint(self) -> None:
        self._end()
        super()._on_sigint()

    def _end(self) -> None:
        self._consumer_loop.stop()
        threading.Thread(target=self._end_in_time, name="end in time", daemon=True).start()

    def _end_in_time(self) -> None:
        time.sleep(self._patience_s)
        log.error("did_not_stop", seconds=self._patience_s)
        faulthandler.dump_traceback(all_threads=True)
        os._exit(1)


def make_app(
    settings: WorkerSettings,
    kafka: KafkaSettings,
    home: Path,
    commander: Commander,
) -> faust.App:
    """The control plane: an app of its own group, so that every worker hears every command."""
    app = faust.App(
        id=f"{settings.group}-control-{uuid.uuid4().hex[:12]}",
        broker=[f"kafka://{server}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=faust_credentials(kafka),
        # A worker that starts reads all commands again: erasures are idempotent, and kept until honoured.
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        reply_create_topic=False,
        stream_wait_empty=False,
        store="memory://",
        datadir=str(home / "faust"),
    )
    topic = app.topic(settings.control_topic, value_serializer="raw", key_serializer="raw")

    @app.agent(topic)  # type: ignore[untyped-decorator]
    async def obey(records: faust.Stream[bytes]) -> None:
        async for record in records.events():
            await commander.obey(record.value, record.message.offset)

    return app


def run_worker(settings: WorkerSettings, kafka: KafkaSettings, encoding: EncoderSettings) -> None:
    """Run one worker until SIGTERM or SIGINT; exits the process.

    Raises:
        BundleError, OnlineStoreError, KafkaConnectionError, TopicError: it cannot start, and why.
    """
    config = librdkafka_config(kafka)
    check_connection(config)
    metrics = WorkerMetrics()

    def load(bundle: str) -> Encoder:
        return make_encoder(
            encoding.model_copy(update={"bundle": Path(bundle)}),
            on_mode_change=lambda mode: metrics.degraded.set(mode == "degraded"),
        )

    home = HomeSettings().home
    home.mkdir(parents=True, exist_ok=True)
    standing = read_standing(config, settings.control_topic)
    first = str(active_bundle())
    encoder = first_that_loads([*standing.swaps, first], load, metrics)
    rows = OnlineRows(settings.store_url, settings.topic)
    partitions = partition_count(config, settings.topic)
    rows.claim_partition_count(partitions)
    warm_up()
    output, clock = Output(config, settings.flush_timeout_s), SystemClock()
    folded = partial(folded_to, rows, partitions)
    erasures = PendingErasures(WholeTopic(config, settings.erasures_topic), folded)
    tagger = Tagger(settings, rows, output, encoder, erasures, metrics, partitions, WindowSettings(), clock)
    consumer = worker_consumer(
        config,
        settings.group,
        session_ms=settings.session_timeout_ms,
        protocol=settings.group_protocol,
        instance_id=settings.instance_id,
    )
    ends = partial(end_offsets, config, settings.topic)
    loop = ConsumerLoop(settings, consumer, ends, rows, output, tagger, erasures, metrics, clock)
    forwarder = Forwarder(
        lambda: ErasureLog(config, settings.erasures_topic),
        lambda: ErasureWriter(config, settings.topic, settings.erasures_topic, settings.flush_timeout_s),
        lambda: tuple(loop.partitions),
        partitions,
    )
    # A candidate is encoded in process: it disturbs no server that answers for the champion.
    commander = Commander(
        loop,
        load,
        lambda bundle: OnnxEncoder(load_bundle(Path(bundle))),
        forwarder.request,
        metrics,
        standing.known,
    )
    if standing.shadow is not None:
        asyncio.run(commander.shadow(standing.shadow))
    if settings.metrics_port is not None:
        serve_metrics(settings.metrics_host, settings.metrics_port, metrics.registry)
    gc.collect()
    gc.freeze()  # what is loaded now stays: no collection has to walk through it again
    app = make_app(settings, kafka, home, commander)
    patience_s = settings.flush_timeout_s + _SPARE_S
    LiveWorker(app, LiveLoop(loop), loop, patience_s).execute_from_commandline()
