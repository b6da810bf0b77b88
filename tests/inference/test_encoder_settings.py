from __future__ import annotations

from pathlib import Path

import pytest

from inference.encoders.onnx import OnnxEncoder
from inference.encoders.settings import EncoderSettings, make_encoder
from inference.errors import BundleError, EncoderUnavailableError
from tests.inference.made_bundles import make_bundle, random_vectors

NOBODY = "127.0.0.1:1"


def test_the_default_is_the_starter_bundle_in_process() -> None:
    modes: list[str] = []
    encoder = make_encoder(EncoderSettings(), modes.append)
    assert isinstance(encoder, OnnxEncoder)
    assert len(encoder.encode(random_vectors(3)).code) == 3
    assert modes == []


def test_the_environment_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(tmp_path / "bundle", codebook_version="mine.7")
    monkeypatch.setenv("SIMPERSONA_ENCODER_BUNDLE", str(tmp_path / "bundle"))
    assert make_encoder(EncoderSettings(), print).codebook_version == "mine.7"


def test_a_bundle_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        make_encoder(EncoderSettings(bundle=tmp_path / "none"), print)


def test_triton_away_at_the_start_degrades() -> None:
    modes: list[str] = []
    encoder = make_encoder(EncoderSettings(runtime="triton", triton_url=NOBODY), modes.append)
    assert modes == ["degraded"]
    assert len(encoder.encode(random_vectors(3)).code) == 3
    encoder.close()


def test_triton_away_at_the_start_waits() -> None:
    modes: list[str] = []
    settings = EncoderSettings(runtime="triton", triton_url=NOBODY, on_failure="wait")
    encoder = make_encoder(settings, modes.append)
    assert modes == ["waiting"]
    with pytest.raises(EncoderUnavailableError):
        encoder.encode(random_vectors(3))
    encoder.close()


def test_every_setting_is_described() -> None:
    assert all(field.description for field in EncoderSettings.model_fields.values())
