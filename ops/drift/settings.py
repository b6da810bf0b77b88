"""Thresholds of drift, read from the environment (SIMPERSONA_DRIFT_*)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings


class DriftSettings(Settings):
    """When live traffic counts as different from the reference, and when that is an alert."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_DRIFT_")

    psi: float = Field(
        0.2,
        description="smallest shift that matters: population stability index beyond what chance gives",
        gt=0,
    )
    q: float = Field(
        0.001,
        description="most false discoveries among the shifts of a look (Benjamini-Hochberg)",
        gt=0,
        lt=1,
    )
    least_votes: int = Field(
        50, description="a feature with fewer votes in a span (buyers a window) is not judged", ge=10
    )
    raise_after: int = Field(
        # Then the first and the last look of a row share no vote: a span is confirmed by another.
        2,
        description="windows in a row, beyond a span's own length, that make a shift an alert",
        ge=1,
    )
    clear_after: int = Field(6, description="windows in a row without it that end an alert", ge=1)
    retrain_after: int = Field(
        6, description="windows that an alert about the model lasts until a retrain is asked for", ge=1
    )
    refused: float = Field(0.05, description="share of refused records that is an alert", gt=0, le=1)
    unknown: float = Field(
        0.05, description="share of payload items that no adapter knows that is an alert", gt=0, le=1
    )
    late: float = Field(0.05, description="share of events beyond the allowed lateness, ditto", gt=0, le=1)
    duplicates: float = Field(0.2, description="share of events delivered before, ditto", gt=0, le=1)
    old: float = Field(
        0.2, description="share of events that reach Kafka more than 15 minutes old, ditto", gt=0, le=1
    )
