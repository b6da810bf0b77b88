"""The ONNX graph of a bundle: its tensors by feature version, and how it is opened and run on the CPU.

A graph of version 1 has no `forecast`: what it calls `type` and `confidence` is a forecast. Its outputs are
read so, and the type that holds now comes from the bundle's catalogue (inference.bundles.facts).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.vector import FEATURE_WIDTHS
from inference.encoders.encoder import Encoding
from inference.errors import BundleError

if TYPE_CHECKING:
    import onnxruntime as ort

CODES: Final = 256
LATENT_SIZE: Final = 96

_FLOAT, _INT64 = "tensor(float)", "tensor(int64)"
Tensor = tuple[str, tuple[int, ...]]


class Layout(NamedTuple):
    """The tensors of a graph: name -> ONNX Runtime type and dimensions after the batch dimension n."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    @property
    def width(self) -> int:
        """How many columns of a vector the graph reads: the first ones."""
        return self.inputs["vector"][1][0]

    @property
    def served(self) -> list[str]:
        """The outputs that a runtime answers with."""
        return [name for name in self.outputs if name != "latent"]


_CODE: Final[dict[str, Tensor]] = {
    "code": (_INT64, ()),
    "distance": (_FLOAT, ()),
    "margin": (_FLOAT, ()),
    "type": (_INT64, ()),
    "confidence": (_FLOAT, ()),
}
_FORECAST: Final[dict[str, Tensor]] = {"forecast": (_INT64, ()), "forecast_probability": (_FLOAT, ())}
_LATENT: Final[dict[str, Tensor]] = {"latent": (_FLOAT, (LATENT_SIZE,))}
LAYOUTS: Final = {
    1: Layout({"vector": (_FLOAT, (FEATURE_WIDTHS[1],))}, _CODE | _LATENT),
    2: Layout({"vector": (_FLOAT, (FEATURE_WIDTHS[2],))}, _CODE | _FORECAST | _LATENT),
}
"""By feature version."""

MAX_ROWS: Final = 1024
"""Most rows per run, which bounds the memory for activations. 4,000 rows took 16 ms in process and 31 ms over
gRPC with 1024, and 17 and 50 ms with 4096 (2 cores)."""


def open_graph(model: bytes, threads: int) -> ort.InferenceSession:
    """Open a graph, of any feature version, on the CPU with `threads` threads.

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
    layout = layout_of(session)
    _check_tensors("input", session.get_inputs(), layout.inputs)
    _check_tensors("output", session.get_outputs(), layout.outputs)
    return session


def layout_of(session: ort.InferenceSession) -> Layout:
    """The layout that a graph's outputs are nearest to: those of version 2 where it has a forecast."""
    return LAYOUTS[2 if "forecast" in (tensor.name for tensor in session.get_outputs()) else 1]


def run_graph(session: ort.InferenceSession, vectors: NDArray[np.float32]) -> Encoding:
    """Encode float32 [n, W] finite raw vectors, n >= 0, at most MAX_ROWS per run.

    W is at least the graph's width. The type of a graph of version 1 is -1 here: see `told_by`.
    """
    layout = layout_of(session)
    starts = range(0, len(vectors), MAX_ROWS)
    parts = [_run(session, layout, vectors[start : start + MAX_ROWS]) for start in starts]
    if len(parts) == 1:
        return parts[0]
    return join(parts)


def join(parts: list[Encoding]) -> Encoding:
    """Concatenate encodings; an empty list gives an encoding of 0 rows."""
    return Encoding(*(np.concatenate(columns) for columns in zip(_EMPTY, *parts, strict=True)))


def told_by(layout: Layout, columns: Sequence[NDArray[Any]]) -> Encoding:
    """What the outputs `layout.served` of a graph say, each [n]. Version 1: type and confidence are a
    forecast."""
    if layout is LAYOUTS[2]:
        return Encoding(*columns)
    code, distance, margin, forecast, probability = columns
    nothing, unstated = np.full(len(code), -1, np.int64), np.full(len(code), np.nan, np.float32)
    return Encoding(code, distance, margin, nothing, unstated, forecast, probability)


def _run(session: ort.InferenceSession, layout: Layout, rows: NDArray[np.float32]) -> Encoding:
    vector = np.ascontiguousarray(rows[:, : layout.width])
    return told_by(layout, session.run(layout.served, {"vector": vector}))


_EMPTY: Final = Encoding(
    np.empty(0, np.int64),
    np.empty(0, np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.int64),
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
