"""`simpersona events generate` and `simpersona events replay`: make traffic, send traffic."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import msgspec
import structlog

from feature_store.contract.events import Event
from feature_store.contract.identity import LazyBuyerHasher
from feature_store.log.config import KafkaSettings, librdkafka_config
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from feature_store.settings import HomeSettings
from feature_store.sources.choice import SourceChoice
from feature_store.sources.reader import open_chosen
from feature_store.sources.report import SourceReport
from feature_store.sources.writer import write_events
from ops import traffic
from ops.cli.files.events_path import EVENTS_PATH
from ops.cli.files.source_options import source_options
from ops.cli.options import json_option
from ops.replay.dead_letters import replay_dead_letters
from ops.replay.events import (
    AsFastAsPossible,
    EventTime,
    Pace,
    Rate,
    ReplayReport,
    first_events,
    replay_events,
)
from ops.traffic import TrafficConfig
from ops.traffic.writers import write_truth
from streams.settings import WorkerSettings

_LIVE_BATCH = 500  # made while the last ones are on their way: small, so that sending hardly pauses


log = structlog.get_logger()


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File: .ndjson or .parquet.")
@click.option("--to-kafka", is_flag=True, help="Send live traffic to the clickstream topic, without end.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events/s, with --to-kafka.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so long, with --to-kafka."
)
@click.option("--buyers", default=2_000, show_default=True, help="Buyers of a file.")
@click.option("--hours", default=24.0, show_default=True, help="Event time that a file covers.")
@click.option("--stores", default=4, show_default=True, help="Shops, cycling through the fitted kinds.")
@click.option(
    "--wide",
    is_flag=True,
    help="Draw the shops by the seed, far wider than the fitted kinds.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0))
@click.option("--duplicates", default=0.01, show_default=True, help="Share of events delivered twice.")
@click.option("--late", default=0.01, show_default=True, help="Share of events delivered minutes late.")
@click.option(
    "--favour", default="", metavar="TYPE", help="A shift: buyers of this latent type come more often."
)
@click.option(
    "--favour-share", default=0.5, show_default=True, help="Share of all buyers that are of it then."
)
@click.option(
    "--favour-after-hours", default=0.0, show_default=True, help="Event time until the shift begins."
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Parquet file for the buyers' latent types: store, buyer, type.",
)
@json_option
def generate(
    out: Path | None,
    to_kafka: bool,
    rate: float | None,
    seconds: float | None,
    truth: Path | None,
    seed: int,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Generate clickstream traffic of shops and buyers with latent types.

    The same seed and parameters give the same bytes. Figures are fitted to real shops: docs/traffic.md.
    """
    if (out is None) != to_kafka:
        raise click.UsageError("give either --out FILE or --to-kafka")
    if to_kafka and (rate is None or truth is not None):
        raise click.UsageError("--to-kafka needs --rate and has no --truth: its buyers never end")
    if not to_kafka and (rate is not None or seconds is not None):
        raise click.UsageError("--rate and --seconds go with --to-kafka; a file has --buyers and --hours")
    config = TrafficConfig(**parameters)
    if out is None:
        assert rate is not None
        _generate_live(config, seed, rate, seconds, as_json)
        return

    started = time.perf_counter()
    events = write_events(out, traffic.generate(config, seed))
    took = time.perf_counter() - started
    report = {"events": events, "seconds": took, "events_per_s": events / took, "seed": seed}
    if truth is not None:
        report["buyers"] = write_truth(truth, traffic.truth(config, seed))
    _echo(report, f"{events:,} events in {took:.1f} s to {out}", as_json)


def _generate_live(
    config: TrafficConfig, seed: int, rate: float, seconds: float | None, as_json: bool
) -> None:
    live = traffic.live_config(config, seed, rate, time.time_ns() // 1_000_000)
    batches = traffic.generate(live, seed, batch_events=_LIVE_BATCH, endless=True)
    if seconds is not None:
        batches = first_events(batches, max(1, round(rate * seconds)))
    _echo_replay(_send(batches, Rate(rate)), as_json)


@click.command()
@click.argument("path", required=False, type=EVENTS_PATH)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events per second.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Times event time: 60 = 1 min/s.")
@source_options
@click.option("--dead-letters", is_flag=True, help="Send dead letters that are valid now back to the topic.")
@click.option("--reason", help="Only dead letters of this reason.")
@click.option("--dry-run", is_flag=True, help="Count what --dead-letters would do; send nothing.")
@json_option
def replay(
    path: Path | None,
    rate: float | None,
    speed: float | None,
    source: SourceChoice,
    dead_letters: bool,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send a file of events to the clickstream topic, or dead letters back to it.

    Without --rate and --speed: as fast as Kafka takes them. A dead letter is sent back once; one that is
    still invalid is counted and passed over.
    """
    if dead_letters == (path is not None):
        raise click.UsageError("give either PATH or --dead-letters")
    if dead_letters:
        if source.given or rate is not None or speed is not None:
            raise click.UsageError(
                "--rate, --speed and the options of sources (--format and so on) go with PATH"
            )
        _replay_dead_letters(reason, dry_run, as_json)
        return
    if reason is not None or dry_run:
        raise click.UsageError("--reason and --dry-run go with --dead-letters")
    if rate is not None and speed is not None:
        raise click.UsageError("give --rate or --speed, not both")

    pace: Pace = AsFastAsPossible()
    if rate is not None:
        pace = Rate(rate)
    elif speed is not None:
        pace = EventTime(speed)
    assert path is not None
    opened = open_chosen(path, LazyBuyerHasher(HomeSettings().home), source)
    _echo_replay(_send(opened.batches(), pace), as_json, opened.report)


def _send(batches: Iterable[list[Event]], pace: Pace) -> ReplayReport:
    """Send to the topic of the settings; Ctrl-C and SIGTERM end early with all sent acknowledged."""
    settings = WorkerSettings()
    stop = _stop_on_signals()
    output = Output(librdkafka_config(KafkaSettings()), settings.flush_timeout_s)
    return replay_events(
        batches,
        output,
        settings.topic,
        pace,
        stop=stop,
        on_progress=lambda sent, seconds: log.info(
            "sending", events=sent, events_per_s=round(sent / seconds)
        ),
    )


def _replay_dead_letters(reason: str | None, dry_run: bool, as_json: bool) -> None:
    settings = WorkerSettings()
    kafka = librdkafka_config(KafkaSettings())
    with closing(ErasureLog(kafka, settings.erasures_topic)) as erasures:
        report = replay_dead_letters(
            kafka,
            Output(kafka, settings.flush_timeout_s),
            erasures,
            ErasureWriter(kafka, settings.topic, settings.erasures_topic, settings.flush_timeout_s),
            dead_letters_topic=settings.dead_letters_topic,
            topic=settings.topic,
            reason=reason,
            dry_run=dry_run,
            stop=_stop_on_signals(),
        )
    skipped = ", ".join(f"{why} {count:,}" for why, count in report.skipped.items()) or "none"
    _echo(
        report, f"{report.replayed:,} of {report.read:,} dead letters replayed; skipped: {skipped}", as_json
    )


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _echo_replay(report: ReplayReport, as_json: bool, source: SourceReport | None = None) -> None:
    line = f"{report.events:,} events in {report.seconds:.1f} s, {report.events_per_s:,.0f}/s"
    if source is None:
        _echo(report, line, as_json)
        return
    for what, counts in (("skipped", source.skipped), ("invalid", source.invalid)):
        for why, count in counts.items():
            line += f"\n{what}: {why} {count:,}"
    _echo(msgspec.to_builtins(report) | {"source": msgspec.to_builtins(source)}, line, as_json)


def _echo(report: object, line: str, as_json: bool) -> None:
    click.echo(msgspec.json.encode(report).decode() if as_json else line)
