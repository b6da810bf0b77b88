"""A bundle as a Triton model repository."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from feature_store.workspace import write_whole
from inference.bundles.bundle import MODEL, Bundle
from inference.encoders.graph import LAYOUTS, Tensor

Variant = Literal["python", "onnxruntime-cpu", "onnxruntime-gpu"]
"""The backend: ours for Triton from the PyPI wheel, or ONNX Runtime's in NVIDIA's container."""

MODEL_NAME: Final = "encoder"
_ROOMS: Final[dict[Variant, str]] = {
    "python": "triton_models",
    "onnxruntime-cpu": "triton_models_onnxruntime",
    "onnxruntime-gpu": "triton_models_onnxruntime",
}


def model_version(bundle: Bundle) -> int:
    """The Triton version of a bundle's graph: the first 31 bits of its SHA-256.

    A client that asks for this version gets this graph or an error, even if the server was restarted with
    another bundle in between. Versions 1, 2, 3 could not promise that (docs/adr/0011).
    """
    digest = hashlib.sha256(bundle.model).digest()
    return max(1, int.from_bytes(digest[:4], "big") >> 1)


def build_repository(
    bundle: Bundle, out_dir: Path, variant: Variant = "python", beside: Sequence[int] = ()
) -> Path:
    """Write out_dir/encoder/{config.pbtxt, VERSION/model.onnx[, VERSION/model.py]}; returns out_dir.

    The configuration names the version to serve and is replaced last, in one step: a server that loads the
    model meanwhile serves the previous bundle or this one. Other versions stay on disk; those in `beside` are
    served too.
    """
    source = Path(__file__).parents[1] / _ROOMS[variant] / MODEL_NAME
    version = model_version(bundle)
    model = out_dir / MODEL_NAME
    folder = model / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / MODEL, bundle.model)
    if variant == "python":
        write_whole(folder / "model.py", (source / "1" / "model.py").read_bytes())
    template = string.Template((source / "config.pbtxt").read_text(encoding="utf-8"))
    # Our backend serves versions of any layout side by side; ONNX Runtime's those of one.
    layout = LAYOUTS[max(LAYOUTS) if variant == "python" else bundle.manifest.feature_version]
    config = template.substitute(
        versions=", ".join(map(str, [*beside, version])),
        codebook_version=bundle.codebook_version,
        vector_size=layout.width,
        outputs=",\n".join(
            _output(name, tensor, variant != "python") for name, tensor in layout.outputs.items()
        ),
        kind="KIND_GPU" if variant == "onnxruntime-gpu" else "KIND_CPU",
    )
    write_whole(model / "config.pbtxt", config.encode())
    return out_dir


def _output(name: str, tensor: Tensor, is_reshaped: bool) -> str:
    """An output of the configuration: Triton has no batched scalars, so [n] leaves as [n, 1]."""
    dtype, dimensions = tensor
    data_type = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32"}[dtype]
    shape = f"dims: [ {dimensions[0] if dimensions else 1} ]"
    if is_reshaped and not dimensions:
        shape += ", reshape: { shape: [ ] }"
    return f'  {{ name: "{name}", data_type: {data_type}, {shape} }}'
