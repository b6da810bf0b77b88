"""Settings of the webhook sink, read from the environment (SIMPERSONA_WEBHOOK_*)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings
from streams.sinks.settings import SinkSettings


class WebhookSettings(SinkSettings, Settings):
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
    second_secret: SecretStr | None = Field(
        None, description="webhook: signs as well, while one secret takes the place of the other"
    )
    private_addresses: Literal["named", "refused", "allowed"] = Field(
        "named",
        description="whether the URL may lead to an address that is not public. named: to one of a private "
        "network or this machine, where the URL says so: an address, a name without dots, *.local, "
        "*.internal, *.home.arpa, *.localhost",
    )
    redirects: Literal["refused", "followed"] = Field(
        "refused",
        description="refused: the sink ends and says where to; followed: 307 and 308, up to three times",
    )
    group: str = Field("simpersona-webhook", description="consumer group; another URL needs another one")
    dead_letters_topic: str = Field(
        "persona-webhook-dead-letters",
        description="topic of what the URL refused, with its answer",
    )
    timeout_s: float = Field(10.0, description="longest wait for a whole request and its answer", gt=0)
