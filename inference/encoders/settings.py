"""Settings of the encoder (SIMPERSONA_ENCODER_*), and the encoder that they describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.encoder import Encoder
from inference.encoders.failover import FailoverEncoder, Mode
from inference.encoders.onnx import OnnxEncoder
from inference.encoders.triton import TritonEncoder
from inference.encoders.triton_live import TritonRepair
from inference.encoders.triton_repository import MODEL_NAME
from inference.errors import EncoderUnavailableError


class EncoderSettings(Settings):
    """Which bundle encodes, where it runs, and what to do while that is away."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_ENCODER_")

    runtime: Literal["onnx", "triton"] = Field(
        "onnx", description="onnx: ONNX Runtime in process; triton: a Triton server over gRPC"
    )
    bundle: Path | None = Field(None, description="folder of the bundle; unset: the one in the package")
    threads: int = Field(1, description="threads of ONNX Runtime in process", ge=1)
    triton_url: str = Field("127.0.0.1:8001", description="host:port of Triton's gRPC endpoint")
    triton_model: str = Field(MODEL_NAME, description="name of the model on Triton")
    # A call of 1024 rows takes about 10 ms: a server that needs two seconds is in trouble.
    timeout_s: float = Field(2.0, description="deadline of a call to Triton", gt=0)
    on_failure: Literal["degrade", "wait"] = Field(
        "degrade",
        description="while Triton is away: degrade to ONNX Runtime in process (same codes), or wait",
    )
    retry_s: float = Field(5.0, description="seconds between two probes of a Triton that is away", gt=0)


def make_encoder(settings: EncoderSettings, on_mode_change: Callable[[Mode], None]) -> Encoder:
    """Load the bundle and open the runtime.

    If Triton is away, that is no error: the encoder starts degraded or waiting.

    Raises:
        BundleError: the bundle cannot be served, or the Triton server serves another one.
    """
    bundle = load_bundle(settings.bundle or starter_bundle_path())
    if settings.runtime == "onnx":
        return OnnxEncoder(bundle, settings.threads)
    primary = TritonEncoder(bundle, settings.triton_url, settings.triton_model, settings.timeout_s)
    fallback = OnnxEncoder(bundle, settings.threads) if settings.on_failure == "degrade" else None
    repair = TritonRepair(settings.triton_url, settings.triton_model, primary.version)
    encoder = FailoverEncoder(primary, fallback, on_mode_change, settings.retry_s, repair=repair)
    try:
        primary.check_server()
    except EncoderUnavailableError as error:
        encoder.fail(error)
    return encoder
