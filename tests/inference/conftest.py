"""A real Triton server that serves the starter bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.bundles.bundle import Bundle, load_bundle, starter_bundle_path
from inference.encoders.triton_repository import build_repository
from ops.stack.triton import Triton


@pytest.fixture(scope="session")
def starter() -> Bundle:
    return load_bundle(starter_bundle_path())


@pytest.fixture(scope="module")
def triton(starter: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """One server for a file of tests that only read."""
    yield from _served(starter, tmp_path_factory.mktemp("triton"))


@pytest.fixture
def own_triton(starter: Bundle, tmp_path: Path) -> Iterator[Triton]:
    """A server for a test that kills it."""
    yield from _served(starter, tmp_path)


def _served(bundle: Bundle, folder: Path) -> Iterator[Triton]:
    repository = build_repository(bundle, folder / "models")
    server = Triton(repository, folder / "server", owned=True)
    server.start()
    yield server
    server.stop()
