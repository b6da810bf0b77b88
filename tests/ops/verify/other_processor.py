"""An encoder that sums otherwise: the graph in NumPy, with the kernels of another instruction set.

`python -m tests.ops.verify.other_processor` serves it over its pipes; OPENBLAS_CORETYPE, which OpenBLAS reads
when it is loaded, names the processor to pretend. ONNX Runtime has no such switch.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inference.bundles.bundle import Bundle, load_bundle, starter_bundle_path
from inference.encoders.encoder import Encoding
from inference.encoders.graph import LAYOUTS, encoding_of

_CHUNK = 256


class OtherProcessor:
    """The starter bundle's encoder, as a processor with this name has it (Prescott: SSE3, Haswell: AVX2)."""

    def __init__(self, bundle: Bundle, name: str) -> None:
        self.codebook_version, self.types, self.stores = bundle.codebook_version, bundle.types, bundle.stores
        self._finish = bundle.finisher()
        environment = {**os.environ, "OPENBLAS_CORETYPE": name, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ops.verify.other_processor"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        _send(self._process.stdin, vectors)
        layout = LAYOUTS[2]
        columns = [_receive(self._process.stdout) for _ in layout.served]
        return self._finish(encoding_of(layout, columns), vectors)

    def probe(self) -> None:
        """It lives as long as the test."""

    def close(self) -> None:
        self._process.communicate(timeout=30)


def _send(pipe: IO[bytes], array: NDArray[Any]) -> None:
    whole = io.BytesIO()
    np.save(whole, array, allow_pickle=False)
    pipe.write(len(whole.getvalue()).to_bytes(8, "little") + whole.getvalue())
    pipe.flush()


def _receive(pipe: IO[bytes]) -> NDArray[Any]:
    size = int.from_bytes(pipe.read(8), "little")
    return np.array(np.load(io.BytesIO(pipe.read(size)), allow_pickle=False))


def serve() -> None:
    """Encode what comes until nothing comes."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    graph = ReferenceEvaluator(onnx.load_from_string(load_bundle(starter_bundle_path()).model))
    while sys.stdin.buffer.peek(1):
        vectors = _receive(sys.stdin.buffer)[:, : LAYOUTS[2].width]
        pieces = [vectors[at : at + _CHUNK] for at in range(0, len(vectors), _CHUNK)]
        parts = [graph.run(LAYOUTS[2].served, {"vector": piece}) for piece in pieces]
        for columns in zip(*parts, strict=True):
            _send(sys.stdout.buffer, np.concatenate(columns))


if __name__ == "__main__":
    serve()
