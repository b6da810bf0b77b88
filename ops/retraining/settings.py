"""Settings of `simpersona retrain`, read from the environment (SIMPERSONA_RETRAIN_*)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings


class RetrainSettings(Settings):
    """How long a candidate runs in the shadow of the champion before it is promoted."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_RETRAIN_")

    metrics_urls: tuple[str, ...] = Field(
        (), description='/metrics of workers, a JSON list (["http://127.0.0.1:9400/metrics"]); empty: no wait'
    )
    shadow_s: float = Field(60.0, description="longest wait for the comparison on live traffic", ge=0)
    shadow_states: int = Field(10_000, description="compared states that are enough", ge=1)
