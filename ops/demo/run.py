"""The demo from first to last: servers, worker, replay, view, verification, summary."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import psutil
from rich.console import Console

from feature_store.log.config import KafkaSettings, librdkafka_config
from feature_store.settings import HomeSettings
from feature_store.sources.choice import NOTHING_SAID, SourceChoice
from inference.bundles.bundle import Bundle, load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from inference.encoders.settings import EncoderSettings
from inference.encoders.triton_repository import build_repository
from ops.demo.api import DemoApi, Invitation
from ops.demo.display.screen import Show
from ops.demo.folder import fresh_folder
from ops.demo.funnel import FunnelReader
from ops.demo.summary import Latency, Summary, Verdict, as_table, count_lost, write_summary
from ops.demo.traffic import CountingOutput, Replay, Traffic, from_file, generated
from ops.demo.watch import Watcher
from ops.demo.worker import DemoWorker
from ops.errors import DemoError
from ops.interrupts import interrupts
from ops.stack.local import LocalStack, StackInfo
from ops.stack.processes import Say
from ops.verify.report import VerifyReport
from streams.settings import WorkerSettings

_FRAME_S: Final = 0.25
_STALLED_S: Final = 60.0
"""A worker that covers nothing more for so long never will: the summary then says what is lost."""
_STARTS_TRIED: Final = 3


@dataclass(frozen=True)
class DemoOptions:
    """As the command line takes them; rate in events/s, None for the defaults of ops.demo.traffic."""

    events: Path | None = None
    source: SourceChoice = NOTHING_SAID
    seconds: float | None = None
    rate: float | None = None
    triton: bool = False
    stay: bool = False
    summary: Path | None = None


def run_demo(options: DemoOptions, view: AbstractContextManager[Show], console: Console, say: Say) -> None:
    """Run the whole demo; returns when nothing was lost.

    What happens is shown by `view`, the summary goes to `console`, progress to `say`. SIGINT, SIGTERM and
    SIGHUP raise Interrupted; however this ends, by SIGKILL too, servers and worker end with it.

    Raises:
        DemoError: something was lost, the verification failed, or a demo already runs here.
        SimpersonaError: a server, the worker, the bundle or the file of events is not usable.
    """
    with interrupts() as interrupted, ExitStack() as cleanup:
        try:
            _run(options, view, console, say, cleanup)
        finally:
            interrupted.ignore()


def _run(
    options: DemoOptions,
    view: AbstractContextManager[Show],
    console: Console,
    say: Say,
    cleanup: ExitStack,
) -> None:
    folder = cleanup.enter_context(fresh_folder(HomeSettings().home))
    _forget_other_installations(folder)
    bundle = load_bundle(EncoderSettings().bundle or starter_bundle_path())
    traffic = _traffic(options, folder)
    models = build_repository(bundle, folder / "triton" / "models") if options.triton else None

    stack = cleanup.enter_context(LocalStack(folder, model_repository=models, owned=True, say=say))
    worker = DemoWorker(folder, say=say)
    cleanup.callback(worker.kill)
    say("starting the worker; it gets ready while the servers start")
    worker.launch()
    info = stack.up()

    api = DemoApi(folder, info, worker, say=say)
    invite = Invitation(api, info, say)
    if options.stay:
        cleanup.callback(api.kill)
        say("starting the API")
        api.launch()
    live = LiveRun(info, worker, traffic, bundle, folder, say, invite if options.stay else None)
    cleanup.callback(live.close)
    with view as show:
        live.play(show)
    if not options.stay:
        say("stopping the worker")
        worker.stop()
    say("verifying the online store against an offline fold of the topic")
    report = live.verify()
    summary = live.sum_up(report)
    if options.stay:
        api.wait_ready()
        invite()
        assert invite.key is not None
        summary = msgspec.structs.replace(summary, api_url=api.address, api_key=invite.key)
    if options.summary is not None:
        write_summary(options.summary, summary)
    console.print(as_table(summary, report, traffic.not_sent))
    _judge(summary, report)
    if options.stay:
        say(f"page {api.address}/#key={invite.key}")
        say(f"API {api.address}, key {invite.key}")
        say(f"Kafka {info.bootstrap_servers}, store {info.redis_url}, metrics {worker.address}")
        say("staying up until Ctrl-C")
        live.stay()


def _forget_other_installations(folder: Path) -> None:
    """Point this process and its children to the demo's own servers, topics and folder.

    Settings that only tune a worker or name a bundle count in the demo too.
    """
    own = {"SIMPERSONA_STORE_URL", "SIMPERSONA_ENCODER_RUNTIME", "SIMPERSONA_ENCODER_TRITON_URL"}
    for name in list(os.environ):
        if name in own or name.startswith("SIMPERSONA_KAFKA_") or name.endswith("_TOPIC"):
            del os.environ[name]
    os.environ["SIMPERSONA_HOME"] = str(folder)


def _traffic(options: DemoOptions, folder: Path) -> Traffic:
    if options.events is None:
        return generated(options.rate, options.seconds)
    return from_file(options.events, options.source, options.rate, options.seconds, folder)


def _judge(summary: Summary, report: VerifyReport) -> None:
    if summary.lost:
        raise DemoError(f"{summary.lost:,} of {summary.events_in:,} events, buyers or assignments were lost")
    if not report.equal:
        differences = "; ".join(report.examples)
        raise DemoError(f"the online store is not what an offline fold of the topic gives: {differences}")


class LiveRun:
    """One replay through a stack that is up and a worker that is starting. Close it."""

    def __init__(
        self,
        info: StackInfo,
        worker: DemoWorker,
        traffic: Traffic,
        bundle: Bundle,
        folder: Path,
        say: Say,
        invite: Invitation | None,
    ) -> None:
        self._worker, self._traffic, self._bundle, self._say = worker, traffic, bundle, say
        self._settings = settings = WorkerSettings(store_url=info.redis_url)
        self._kafka = KafkaSettings(bootstrap_servers=info.bootstrap_servers)
        # What goes wrong is raised; the client's own lines would run through the live view.
        config = {**librdkafka_config(self._kafka), "log_level": 0}
        encoder = "triton" if info.triton_url else "onnx"
        self._replay = Replay(traffic, CountingOutput(config, settings.flush_timeout_s), settings.topic)
        self._watcher = Watcher(
            config, settings, info.partitions, worker, encoder, sent=lambda: self._replay.sent
        )
        self._funnel = FunnelReader(self._watcher.shown, settings.store_url, settings.topic, folder)
        self._invite = invite
        self._seconds = 0.0
        self._failed_starts = 0

    def close(self) -> None:
        """End the threads."""
        self._replay.stop()
        self._funnel.stop()
        self._watcher.close()

    def play(self, show: Show) -> None:
        """Send, tag and show, until the store's checkpoints cover all that was sent."""
        self._say("waiting for the worker to take its partitions")
        while not self._watcher.worker_consumes():
            self._turn(show)
        self._say(f"sending {self._traffic.what}")
        started = time.monotonic()
        self._replay.start()
        self._funnel.start()
        self._show_until_tagged(show)
        covered, moved = -1, time.monotonic()
        while not (self._replay.done and self._watcher.drained()):
            self._turn(show)
            now = time.monotonic()
            if (more := self._watcher.covered()) != covered:
                covered, moved = more, now
            elif now - moved > _STALLED_S and self._replay.done:
                self._say(f"the worker has covered nothing more for {_STALLED_S:g} s; giving up on it")
                break
        self._turn(show)
        self._seconds = time.monotonic() - started

    def stay(self) -> None:
        """Keep the worker alive until a signal ends the demo."""
        while True:
            self._keep_worker_alive()
            time.sleep(_FRAME_S)

    def verify(self) -> VerifyReport:
        """Ask the oracle, with an encoder of its own in this process."""
        from ops.connection import connect  # Feast's import: the first persona need not wait for it

        with connect(self._settings, self._kafka) as live:
            live.kafka["log_level"] = 0
            return live.verifier(OnnxEncoder(self._bundle)).run()

    def sum_up(self, report: VerifyReport) -> Summary:
        """The figures of the whole run; the replay must be through."""
        watcher, replayed = self._watcher, self._replay.report
        assert replayed is not None
        return Summary(
            events_in=replayed.events,
            assignments_out=watcher.assignments_out(),
            dead_letters=watcher.dead_letters(),
            buyers=watcher.buyers,
            events_per_s=round(replayed.events / self._seconds, 1),
            event_to_tag_ms=Latency(watcher.latency_ms(0.5), watcher.latency_ms(0.99)),
            lost=count_lost(replayed.events, watcher.covered(), report),
            verify=Verdict(report.buyers, report.different, report.missing, report.extra),
            seconds=round(self._seconds, 2),
            seed=self._traffic.seed,
            bundle=self._bundle.codebook_version,
        )

    def _show_until_tagged(self, show: Show) -> None:
        while not self._turn(show):
            if self._replay.done and self._watcher.drained():
                return  # nothing but dead letters
        now = time.time()
        took = now - psutil.Process().create_time()
        self._say(f"the first persona is on screen {took:.1f} s after the command was started")

    def _turn(self, show: Show) -> bool:
        """One frame; whether it shows a shopper."""
        self._keep_worker_alive()
        if self._invite is not None:
            self._invite()
        snapshot = self._watcher.snapshot(_FRAME_S)
        show(snapshot)
        return bool(snapshot.shoppers)

    def _keep_worker_alive(self) -> None:
        if self._worker.running:
            return
        self._failed_starts = 0 if self._watcher.scrapes.alive else self._failed_starts + 1
        self._watcher.scrapes.died()
        if self._failed_starts == _STARTS_TRIED:
            self._worker.wait_ready()  # raises, quoting the worker's last words
        self._say(f"the worker died; starting another, which reads on from the store ({self._worker.log}.1)")
        self._worker.restart()
