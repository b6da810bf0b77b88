from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundles.bundle import Bundle, load_bundle
from inference.bundles.publish import seal_bundle
from inference.errors import BundleError
from tests.inference.made_bundles import make_bundle, model_bytes, stage_bundle


def seal(staging: Path, target: Path) -> Bundle:
    return seal_bundle(
        staging, target, codebook_version="v1", sources=["a.parquet"], seed=7, command="simpersona train"
    )


def test_sealing_moves_the_folder_and_keeps_where_it_came_from(tmp_path: Path) -> None:
    staging = stage_bundle(tmp_path / "staging", model_bytes())
    bundle = seal(staging, tmp_path / "bundle")
    assert not staging.exists()
    assert bundle == load_bundle(tmp_path / "bundle")
    assert (bundle.manifest.seed, bundle.manifest.sources) == (7, ["a.parquet"])
    assert bundle.manifest.command == "simpersona train"


def test_a_published_bundle_is_never_replaced(tmp_path: Path) -> None:
    first = make_bundle(tmp_path / "bundle")
    staging = stage_bundle(tmp_path / "staging", model_bytes(seed=1))
    with pytest.raises(BundleError, match="is there already"):
        seal(staging, tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle") == first


def test_missing_files_are_named(tmp_path: Path) -> None:
    staging = stage_bundle(tmp_path / "staging", model_bytes())
    (staging / "reference.json").unlink()
    with pytest.raises(BundleError, match=r"lacks reference\.json"):
        seal(staging, tmp_path / "bundle")


def test_what_serving_would_refuse_is_not_published(tmp_path: Path) -> None:
    staging = stage_bundle(tmp_path / "staging", model_bytes(input_size=404))
    with pytest.raises(BundleError, match="404"):
        seal(staging, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
