"""The webhook sink of this installation, made from settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from feature_store.log.config import KafkaSettings, check_connection, librdkafka_config
from feature_store.log.erasures import ErasureLog
from feature_store.log.producer import Output
from streams.errors import WebhookError
from streams.metrics import serve_metrics
from streams.settings import WorkerSettings
from streams.webhook.letters import make_form
from streams.webhook.post import Post
from streams.webhook.settings import WebhookSettings
from streams.webhook.sink import WebhookSink


@contextmanager
def open_sink() -> Iterator[WebhookSink]:
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
