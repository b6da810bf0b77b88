"""The ONNX graph of a bundle: its tensors, and how it is opened and run on the CPU."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import VECTOR_SIZE
from inference.encoders.encoder import Encoding
from inference.errors import BundleError

if TYPE_CHECKING:
    import onnxruntime as ort

CODES: Final = 256
LATENT_SIZE: Final = 96

_FLOAT, _INT64 = "tensor(float)", "tensor(int64)"
Tensor = tuple[str, tuple[int, ...]]
INPUTS: Final[dict[str, Tensor]] = {"vector": (_FLOAT, (VECTOR_SIZE,))}
OUTPUTS: Final[dict[str, Tensor]] = {
    "code": (_INT64, ()),
    "distance": (_FLOAT, ()),
    "margin": (_FLOAT, ()),
    "type": (_INT64, ()),
    "confidence": (_FLOAT, ()),
    "latent": (_FLOAT, (LATENT_SIZE,)),
}
"""Name -> ONNX Runtime type and dimensions after the batch dimension n."""

MAX_ROWS: Final = 1024
"""Most rows per run, which bounds the memory for activations. 4,000 rows took 16 ms in process and 31 ms over
gRPC with 1024, and 17 and 50 ms with 4096 (2 cores)."""


def open_graph(model: bytes, threads: int) -> ort.InferenceSession:
    """Open a graph on the CPU with `threads` threads.

    It takes bytes, not a path, for two reasons: the checksum of these bytes was compared, and tensors in a
    file beside the graph, which no checksum covers, are refused.

    Raises:
        BundleError: ONNX Runtime refuses the graph, or its tensors are not those of a bundle.
    """
    import onnxruntime as ort  # here: the storefront needs only the constants

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors arrive as exceptions
    # ONNX Runtime keeps a memory pattern per batch size, and live batches have every size.
    options.enable_mem_pattern = False
    # Idle threads that spin would take the core from the fold.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class per status code and no common root but this
        raise BundleError(f"model.onnx cannot be opened: {first_line(error)}") from error
    _check_tensors("input", session.get_inputs(), INPUTS)
    _check_tensors("output", session.get_outputs(), OUTPUTS)
    return session


def run_graph(session: ort.InferenceSession, vectors: NDArray[np.float32]) -> Encoding:
    """Encode float32 [n, 403] finite raw vectors, n >= 0, at most MAX_ROWS per run."""
    parts = [_run(session, vectors[start : start + MAX_ROWS]) for start in range(0, len(vectors), MAX_ROWS)]
    if len(parts) == 1:
        return parts[0]
    return join(parts)


def join(parts: list[Encoding]) -> Encoding:
    """Concatenate encodings; an empty list gives an encoding of 0 rows."""
    return Encoding(*(np.concatenate(columns) for columns in zip(_EMPTY, *parts, strict=True)))


def _run(session: ort.InferenceSession, rows: NDArray[np.float32]) -> Encoding:
    return Encoding(*session.run(list(Encoding._fields), {"vector": rows}))


_EMPTY: Final = Encoding(
    np.empty(0, np.int64),
    np.empty(0, np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.int64),
    np.empty(0, np.float32),
)


def _check_tensors(kind: str, found: list[Any], expected: dict[str, Tensor]) -> None:
    by_name = {tensor.name: tensor for tensor in found}
    if by_name.keys() != expected.keys():
        raise BundleError(f"model.onnx has the {kind}s {sorted(by_name)}, expected {sorted(expected)}")
    for name, (dtype, dimensions) in expected.items():
        tensor = by_name[name]
        shape = list(tensor.shape)
        dynamic = bool(shape) and not isinstance(shape[0], int)
        if tensor.type != dtype or not dynamic or tuple(shape[1:]) != dimensions:
            wanted = ", ".join(map(str, itertools.chain("n", dimensions)))
            raise BundleError(
                f"{kind} {name} of model.onnx is {tensor.type} {shape}, expected {dtype} [{wanted}]"
            )


def first_line(error: Exception) -> str:
    """The first line of an error's text, for messages of one line."""
    return str(error).partition("\n")[0]
