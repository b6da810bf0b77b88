"""`simpersona sink NAME`, and `simpersona webhook`: deliver assignments to another system."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click
import msgspec

from feature_store.log.config import KafkaSettings, check_connection, librdkafka_config
from feature_store.log.producer import Output
from ops.cli.options import json_option
from streams.metrics import serve_metrics
from streams.settings import WorkerSettings
from streams.sinks.runner import SinkRunner
from streams.sinks.sink import sinks
from streams.sinks.telling import KnownErasures

_once_option = click.option("--once", is_flag=True, help="Deliver what is there, then stop.")


@click.command()
@click.argument("name", type=click.Choice(list(sinks())))
@_once_option
@json_option
def sink(name: str, once: bool, as_json: bool) -> None:
    """Deliver assignments to another system, at least once each and in order per buyer.

    NAME is a kind of sink. Settings come from the environment (SIMPERSONA_<NAME>_*, docs/settings.md);
    docs/extending.md adds a kind. A system that is away is tried until it is back, and nothing is lost
    meanwhile. Start several to share the work; SIGTERM ends it within seconds.
    """
    _run(name, once, as_json)


@click.command()
@_once_option
@json_option
def webhook(once: bool, as_json: bool) -> None:
    """Post assignments to a URL, signed, at least once each; or to Segment as identify calls.

    Settings come from the environment (SIMPERSONA_WEBHOOK_*, docs/settings.md); docs/feeds.md shows what
    is posted and how a signature is checked. A URL that is away is tried until it is back, and nothing
    is lost meanwhile. Receivers are told of erased buyers. Start several to share the work; SIGTERM ends it
    within seconds.
    """
    _run("webhook", once, as_json)


def _run(name: str, once: bool, as_json: bool) -> None:
    with _runner(name) as runner:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: runner.stop())
        delivered = runner.run(until_end=once)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(delivered)))
    else:
        click.echo(
            f"{delivered.assignments} assignments delivered in {delivered.requests} requests "
            f"({delivered.failed_requests} failed), {delivered.dead_letters} dead letters, "
            f"{delivered.skipped} skipped, {delivered.erasures} erasures delivered"
        )


@contextmanager
def _runner(name: str) -> Iterator[SinkRunner]:
    """A sink as the environment says.

    Raises:
        SinkError: its settings do not suffice.
        KafkaConnectionError: Kafka does not answer.
        MetricsPortError: the port of /metrics cannot be had.
    """
    kind = sinks()[name]
    settings, live, kafka = kind.settings(), WorkerSettings(), librdkafka_config(KafkaSettings())
    with closing(kind.open(settings)) as opened:
        check_connection(kafka)
        with closing(KnownErasures(kafka, live.erasures_topic)) as erasures:
            output = Output(kafka, live.flush_timeout_s)
            runner = SinkRunner(kafka, live.assignments_topic, name, settings, opened, erasures, output)
            if settings.metrics_port is not None:
                serve_metrics(settings.metrics_host, settings.metrics_port, runner.metrics.registry)
            yield runner
