"""The registry of persona LLMs that the environment names."""

from __future__ import annotations

from feature_store.settings import HomeSettings
from training.lifecycle.mlflow_client import RegistrySettings
from training.persona_llm.lifecycle.registry import LlmRegistry


def open_llm_registry() -> LlmRegistry:
    """Open it, beside the encoder's.

    Raises:
        RegistryError: MLflow cannot be used.
    """
    return LlmRegistry(HomeSettings().home / "registry", RegistrySettings().mlflow_tracking_uri)
