"""The Faust app: process, life cycle, control agents. The clickstream runs beside it, in a thread.

Faust starts what is handed to its Worker before the app itself, and the app waits for its own
consumer group. The loop is such a service, so that events flow while Faust is still joining, and
also when Faust's control plane cannot join at all (docs/adr/0003).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
import msgspec
import structlog
from mode import Service
from prometheus_client import start_http_server

from feature_store.events import record_key
from feature_store.feast_repo import online_rows
from feature_store.history import warm_up
from feature_store.settings import HomeSettings
from inference.bundle import starter_bundle_path
from inference.encoder import Encoder
from inference.errors import InferenceError
from inference.settings import EncoderSettings, make_encoder
from inference.windows import WindowSettings
from streams.consumer import ConsumerLoop
from streams.control import Erase, Shadow, Swap, decode_command
from streams.erasures import ErasureLog
from streams.errors import MetricsPortError
from streams.kafka_config import KafkaSettings, check_connection, faust_credentials, librdkafka_config
from streams.metrics import WorkerMetrics
from streams.output import Output
from streams.records import LogReader
from streams.settings import WorkerSettings
from streams.topics import partition_count
from streams.worker import Tagger

log = structlog.get_logger(__name__)


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
    """A Faust worker whose clickstream loop stops first: Faust may still be joining its group."""

    def __init__(self, app: faust.App, live: LiveLoop, loop: ConsumerLoop) -> None:
        self._consumer_loop = loop
        super().__init__(app, live, quiet=True, redirect_stdouts=False, loglevel="WARN")
        self.spinner = None  # logs are for machines here

    def _on_sigterm(self) -> None:
        self._consumer_loop.stop()
        super()._on_sigterm()

    def _on_sigint(self) -> None:
        self._consumer_loop.stop()
        super()._on_sigint()


def make_app(
    settings: WorkerSettings,
    kafka: KafkaSettings,
    home: Path,
    loop: ConsumerLoop,
    load: Callable[[str], Encoder],
    known: int,
) -> faust.App:
    """The control plane: an app of its own group, so that every worker hears every command.

    Swaps below offset `known` are history: the worker began with the last of them.
    """
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
            await _obey(record.value, record.message.offset < known, loop, load)

    return app


async def _obey(raw: bytes, old: bool, loop: ConsumerLoop, load: Callable[[str], Encoder]) -> None:
    try:
        command = decode_command(raw)
    except msgspec.MsgspecError as error:
        log.warning("command_refused", error=str(error))
        return
    try:
        match command:
            case Erase(store=store, buyer=buyer, requested_at=requested_at):
                key = record_key(store, buyer)
                loop.submit(lambda it: it.request_erasure(key, requested_at))
            case Swap() | Shadow() if old:
                pass
            case Swap(bundle=bundle):
                encoder = await asyncio.to_thread(load, bundle)
                loop.submit(lambda it: it.tagger.use(encoder).close())
            case Shadow(bundle=bundle):
                shadow = None if bundle is None else await asyncio.to_thread(load, bundle)
                loop.submit(lambda it: it.tagger.shadow_with(shadow))
    except InferenceError as error:
        log.error("command_failed", error=str(error))  # the champion stays


def _last_swap(config: dict[str, Any], topic: str) -> tuple[str | None, int]:
    """The bundle that the last swap named, and the control topic's next offset."""
    bundle, offset = None, 0
    with LogReader(config) as reader:
        for messages in reader.read(topic, 0):
            for message in messages:
                offset = message.offset() + 1
                with contextlib.suppress(msgspec.MsgspecError):  # refused, and said so, by who heard it live
                    command = decode_command(message.value())
                    bundle = command.bundle if isinstance(command, Swap) else bundle
    return bundle, offset


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
    swapped_to, known = _last_swap(config, settings.control_topic)
    encoder = load(swapped_to or str(encoding.bundle or starter_bundle_path()))
    rows = online_rows(settings.store_url, settings.topic, home)
    partitions = partition_count(config, settings.topic)
    rows.claim_partition_count(partitions)
    warm_up()
    output = Output(config, settings.flush_timeout_s)
    erasures = ErasureLog(config, settings.erasures_topic)
    tagger = Tagger(settings, rows, output, encoder, erasures, metrics, partitions, WindowSettings())
    loop = ConsumerLoop(settings, config, rows, output, tagger, erasures, metrics)
    if settings.metrics_port is not None:
        _serve_metrics(settings.metrics_host, settings.metrics_port, metrics)
    gc.collect()
    gc.freeze()  # what is loaded now stays: no collection has to walk through it again
    LiveWorker(
        make_app(settings, kafka, home, loop, load, known), LiveLoop(loop), loop
    ).execute_from_commandline()


def _serve_metrics(host: str, port: int, metrics: WorkerMetrics) -> None:
    try:
        server, _ = start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        raise MetricsPortError(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    log.info("metrics_served", port=server.server_port)
