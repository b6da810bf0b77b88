"""Settings of the persona LLM's gates, read from the environment (SIMPERSONA_LLM_GATE_*)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings


class LlmGateSettings(Settings):
    """How much worse than the persona LLM in use a candidate may be."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_LLM_GATE_")

    ara_loss: float = Field(0.02, description="largest fall of ARA, a share", ge=0)
    failed_rise: float = Field(0.02, description="largest rise of the share of failed runs", ge=0)
    sessions: int = Field(1_000, description="test sessions that both are judged on, at most", ge=1)
