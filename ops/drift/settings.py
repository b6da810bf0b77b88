"""Thresholds of drift, read from the environment (SIMPERSONA_DRIFT_*); those of signals are in signals.py."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings
from ops.drift.signals import Signals


class DriftSettings(Signals, Settings):
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
        50, description="a feature with fewer votes in a span (buyers per window) is not judged", ge=10
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
