from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inference.bundles.bundle import load_bundle
from inference.errors import BundleError
from tests.inference.made_bundles import make_bundle
from training.errors import RegistryError
from training.lifecycle.registry import Registry
from training.lifecycle.versions import Version


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One for the whole module: its tables take a second or two to make."""
    return Registry(tmp_path_factory.mktemp("registry"))


def register(registry: Registry, folder: Path, seed: int, **extras: Path) -> Version:
    bundle = make_bundle(folder / f"bundle-{seed}", seed, f"v{seed}")
    return registry.register(
        bundle,
        extras={path.name: path for path in extras.values()},
        figures={"perplexity": 10.0 + seed},
        tags={"parent": "none"},
    )


@contextmanager
def full_disk(limit: int = 10_000) -> Iterator[None]:
    """No file can be written beyond so many bytes: the system refuses, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def one_byte_changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def artifact(registry: Registry, version: Version, name: str) -> Path:
    folder = Path(registry._client.get_run(version.run).info.artifact_uri.removeprefix("file://"))
    return folder / "bundle" / name


def test_what_is_registered_comes_back(registry: Registry, tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    state.write_bytes(b"weights")
    version = register(registry, tmp_path, 1, state=state)
    assert version.codebook_version == "v1"
    assert (version.figures, version.tags) == ({"perplexity": 11.0}, {"parent": "none"})
    laid = registry.lay_down(version, tmp_path / "models")
    assert laid.folder == tmp_path / "models" / "v1"
    assert laid.manifest == load_bundle(tmp_path / "bundle-1").manifest
    with registry.extra(version, "state.pt") as path:
        assert path is not None
        assert path.read_bytes() == b"weights"
    with registry.extra(version, "alignment.json") as path:
        assert path is None


def test_a_bundle_is_registered_once(registry: Registry, tmp_path: Path) -> None:
    version = register(registry, tmp_path, 2)
    again = registry.register(load_bundle(tmp_path / "bundle-2"), extras={}, figures={}, tags={})
    assert again == version


def test_an_alias_moves(registry: Registry, tmp_path: Path) -> None:
    one, other = register(registry, tmp_path, 3), register(registry, tmp_path, 4)
    registry.give("champion", one.number)
    registry.give("candidate", other.number)
    assert registry.version("champion").number == one.number
    registry.give("champion", other.number)
    registry.take("candidate")
    holder = registry.holder("champion")
    assert holder is not None
    assert (holder.number, holder.aliases) == (other.number, ("champion",))
    assert registry.holder("candidate") is None
    assert registry.version(one.number).aliases == ()


def test_tags_are_added(registry: Registry, tmp_path: Path) -> None:
    version = register(registry, tmp_path, 5)
    registry.tag(version.number, {"forced": "by a test"})
    assert registry.version("v5").tags == {"parent": "none", "forced": "by a test"}


def test_an_unknown_version_is_named(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="has no version 999"):
        registry.version(999)


def test_a_bundle_with_one_byte_changed_is_not_laid_down(registry: Registry, tmp_path: Path) -> None:
    version = register(registry, tmp_path, 6)
    one_byte_changed(artifact(registry, version, "model.onnx"))
    with pytest.raises(BundleError, match=r"SHA-256 of model\.onnx"):
        registry.lay_down(version, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_that_was_changed_is_refused(registry: Registry, tmp_path: Path) -> None:
    version = register(registry, tmp_path, 7)
    one_byte_changed(registry.lay_down(version, tmp_path / "models").folder / "catalogue.json")
    with pytest.raises(BundleError, match=r"SHA-256 of catalogue\.json"):
        registry.lay_down(version, tmp_path / "models")


def test_a_full_disk_lays_nothing_down(registry: Registry, tmp_path: Path) -> None:
    version = register(registry, tmp_path, 8)
    with full_disk(), pytest.raises(RegistryError, match="failed"):
        registry.lay_down(version, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []
    assert registry.lay_down(version, tmp_path / "models").codebook_version == "v8"


def test_a_full_disk_registers_nothing(registry: Registry, tmp_path: Path) -> None:
    before = registry.versions()
    bundle = make_bundle(tmp_path / "bundle", 9, "v9")
    with full_disk(), pytest.raises(RegistryError, match="failed"):
        registry.register(bundle, extras={}, figures={}, tags={})
    assert registry.versions() == before
    assert registry.register(bundle, extras={}, figures={}, tags={}).codebook_version == "v9"


def test_a_registry_is_found_again(tmp_path: Path) -> None:
    version = register(Registry(tmp_path / "registry"), tmp_path, 10)
    assert Registry(tmp_path / "registry").versions() == [version]
    assert not list((tmp_path / "registry").glob(".registry.db*"))


def test_a_server_that_is_away_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:9 failed") as said:
        Registry(tmp_path, "http://127.0.0.1:9")
    assert "\n" not in str(said.value)


A_SERVER_ASKED = """
import os, warnings
from pathlib import Path
from prometheus_client import Gauge, values
from training.errors import RegistryError
from training.lifecycle.registry import Registry
try:
    Registry(Path(), "http://127.0.0.1:9")
except RegistryError:
    print([name for name in os.environ if name.lower().startswith("prometheus_multiproc")])
warnings.simplefilter("error")
gauge = Gauge("any", "any", ["label"])
gauge.labels("one").set(1)
gauge.clear()
print(values.ValueClass.__name__)
"""


def test_metrics_stay_in_memory_after_a_server_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = subprocess.run([sys.executable, "-c", A_SERVER_ASKED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[]", "MutexValue"]
