"""All settings there are: importing this module imports each module that defines some.

The generated page of settings and the test of docker-compose.yml read this list; a test holds it against the
sources.
"""

# ruff: noqa: F401
from __future__ import annotations

from typing import Final

import feature_store.contract.identity
import feature_store.log.config
import inference.api.settings
import inference.counts.windows
import inference.encoders.settings
import ops.dashboards.settings
import ops.drift.settings
import ops.retraining.settings
import streams.settings
import training.lifecycle.gates
import training.lifecycle.mlflow_client
import training.persona_llm.agents.chat
import training.persona_llm.lifecycle.gate_settings
from feature_store.settings import Settings
from streams.sinks.sink import sinks

sinks()  # their settings register themselves, as they do
SETTINGS: Final = tuple(sorted(Settings.registered, key=lambda settings: settings.__name__))
"""Every class of settings, by name."""
