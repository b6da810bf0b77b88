"""Triton Python backend: the graph of a bundle in ONNX Runtime, on the CPU.

This file runs in Triton's own environment (Python, numpy, onnxruntime and nothing of simpersona), in
a process that the server starts. triton_python_backend_utils comes with the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

_NOTHING: dict[str, np.ndarray] = {
    "forecast": np.array([-1], np.int64),
    "forecast_probability": np.array([np.nan], np.float32),
}


class TritonPythonModel:
    """Answers a dynamic batch with one run of the graph."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model.onnx beside this file."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # more come as instances, each with a core of its own
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # one would be kept for every batch size ever seen
        model = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._width = self._session.get_inputs()[0].shape[1]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request by itself: an exception here would fail the whole dynamic batch.

        The server checks types against config.pbtxt, and batches only requests of one width.
        """
        vectors = [pb_utils.get_input_tensor_by_name(request, "vector").as_numpy() for request in requests]
        good = [rows.shape[1] >= self._width and bool(np.isfinite(rows).all()) for rows in vectors]
        answers = iter(self._run([rows for rows, fine in zip(vectors, good, strict=True) if fine]))
        return [
            _response(request, next(answers)) if fine else _refusal(rows, self._width)
            for request, rows, fine in zip(requests, vectors, good, strict=True)
        ]

    def _run(self, vectors: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """The outputs by name for each request's rows."""
        if not vectors:
            return []
        names = [output.name for output in self._session.get_outputs()]
        # A graph of an earlier feature version reads the beginning of a vector.
        columns = self._session.run(names, {"vector": np.concatenate(vectors)[:, : self._width]})
        ends = np.cumsum([len(rows) for rows in vectors])[:-1]
        parts = zip(*(np.split(column, ends) for column in columns), strict=True)
        return [dict(zip(names, part, strict=True)) for part in parts]


def _response(request: Any, answer: dict[str, np.ndarray]) -> Any:
    tensors = []
    for name in request.requested_output_names():
        # A graph of feature version 1 has no forecast of its own: no type, no probability.
        rows = answer[name] if name in answer else _NOTHING[name].repeat(len(answer["code"]))
        # Triton has no batched scalars: [n] goes out as [n, 1].
        tensors.append(pb_utils.Tensor(name, rows if rows.ndim == 2 else rows[:, np.newaxis]))
    return pb_utils.InferenceResponse(output_tensors=tensors)


def _refusal(rows: np.ndarray, width: int) -> Any:
    if rows.shape[1] < width:
        message = f"vector has {rows.shape[1]} columns, this version of the model reads {width}"
        return pb_utils.InferenceResponse(
            output_tensors=[], error=pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG)
        )
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    message = f"{len(bad)} rows of vector hold NaN or inf, first rows {bad[:10].tolist()}"
    return pb_utils.InferenceResponse(
        output_tensors=[], error=pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG)
    )
