"""`simpersona webhook`: post assignments to a URL."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click
import msgspec

from feature_store.log.config import KafkaSettings, check_connection, librdkafka_config
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from ops.cli.options import json_option
from streams.errors import WebhookError
from streams.metrics import serve_metrics
from streams.settings import WorkerSettings
from streams.webhook.letters import make_form
from streams.webhook.post import Post
from streams.webhook.settings import WebhookSettings
from streams.webhook.sink import WebhookSink


@click.command()
@click.option("--once", is_flag=True, help="Deliver what is there, then stop.")
@json_option
def webhook(once: bool, as_json: bool) -> None:
    """Post assignments to a URL, signed, at least once each; or to Segment as identify calls.

    Settings come from the environment (SIMPERSONA_WEBHOOK_*, docs/settings.md); docs/feeds.md shows what
    is posted and how a signature is checked. A URL that is away is tried until it is back, and nothing
    is lost meanwhile. Start several to share the work; SIGTERM ends after the request under way.
    """
    with _open_sink() as sink:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: sink.stop())
        delivered = sink.run(until_end=once)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(delivered)))
    else:
        click.echo(
            f"{delivered.assignments} assignments delivered in {delivered.requests} requests "
            f"({delivered.failed_requests} failed), {delivered.dead_letters} dead letters, "
            f"{delivered.skipped} skipped"
        )


@contextmanager
def _open_sink() -> Iterator[WebhookSink]:
    """As the environment says.

    Raises:
        WebhookError: no URL, or no secret that fits.
        KafkaConnectionError: Kafka does not answer.
        MetricsPortError: the port of /metrics cannot be had.
    """
    settings, live, kafka = WebhookSettings(), WorkerSettings(), librdkafka_config(KafkaSettings())
    if settings.url is None:
        raise WebhookError("set SIMPERSONA_WEBHOOK_URL: where to post assignments")
    form = make_form(settings)
    check_connection(kafka)
    with (
        closing(Post(settings.url, settings.timeout_s)) as post,
        closing(ErasureLog(kafka, live.erasures_topic)) as erasures,
    ):
        output = Output(kafka, live.flush_timeout_s)
        sink = WebhookSink(kafka, live.assignments_topic, settings, form, post, erasures, output)
        if settings.metrics_port is not None:
            serve_metrics(settings.metrics_host, settings.metrics_port, sink.metrics.registry)
        yield sink
