"""Settings of the webhook sink, read from the environment (SIMPERSONA_WEBHOOK_*)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings


class WebhookSettings(Settings):
    """Where `simpersona webhook` posts assignments to, how, and how many at once."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_WEBHOOK_")

    url: str | None = Field(None, description="where to post; needed", pattern=r"^https?://[^/\s]")
    form: Literal["webhook", "segment"] = Field(
        "webhook",
        description="webhook: signed batches (Standard Webhooks); segment: batches of identify calls",
    )
    secret: SecretStr | None = Field(
        None,
        description="needed; webhook: whsec_ and the base64 of 24 to 64 random bytes; segment: the write key",
    )
    stores: tuple[str, ...] = Field(
        (), description='whose assignments to post, as JSON: ["acme"]; unset: all stores\''
    )
    group: str = Field("simpersona-webhook", description="consumer group; another URL needs another one")
    dead_letters_topic: str = Field(
        "persona-webhook-dead-letters",
        description="topic of what the URL refused, with its answer",
    )
    batch_items: int = Field(100, description="most assignments a request", ge=1, le=2_000)
    linger_ms: int = Field(200, description="how long a request waits to fill", ge=1)
    timeout_s: float = Field(10.0, description="longest wait for each step of a request", gt=0)
    backoff_s: float = Field(60.0, description="longest pause between tries, which go on for ever", gt=0)
    metrics_host: str = Field("127.0.0.1", description="address of /metrics; 0.0.0.0 for a scraper elsewhere")
    metrics_port: int | None = Field(None, description="port of /metrics; unset: none, 0: any free one")
