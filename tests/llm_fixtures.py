"""A persona LLM, trained once for all tests that need one."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def llm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small persona LLM of the store "acme"; its traces lie beside it. Do not change it."""
    from tests.training.persona_llm.models import make_model  # torch: only where it is used

    return make_model(tmp_path_factory.mktemp("persona-llm"))
