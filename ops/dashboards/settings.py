"""Settings of the dashboard page, read from the environment (SIMPERSONA_DASHBOARD_*)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings


def _plain_http(url: str) -> str:
    parts = urlsplit(url)
    # Not https: a host is asked at each of its addresses, which no certificate names.
    if parts.scheme != "http" or not parts.hostname or parts.port == 0:  # an impossible port raises by itself
        raise ValueError("metrics of workers are read from http://HOST:PORT/metrics")
    return url


class DashboardSettings(Settings):
    """What the page that `simpersona api` serves shows beside personas."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_DASHBOARD_")

    workers: tuple[Annotated[str, AfterValidator(_plain_http)], ...] = Field(
        (),
        description="where workers serve metrics, as JSON: "
        '["http://worker:9400/metrics"]; a host with several addresses is several workers',
    )
    every_s: float = Field(5.0, description="how often the workers' metrics are read", ge=0.2, le=60)
