"""Settings that every room shares: where this installation keeps its data."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class HomeSettings(BaseSettings):
    """The data folder of this installation."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_", frozen=True)

    home: Path = Field(
        Path(".simpersona"), description="data folder: embedded servers, archive, Feast registry, id key"
    )
