"""The encoder in this process: ONNX Runtime on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.bundles.bundle import PROBE_VECTORS, Bundle
from inference.encoders.encoder import Encoding, check_vectors
from inference.encoders.graph import open_graph, run_graph
from inference.errors import EncoderUnavailableError


class OnnxEncoder:
    """Runs a bundle's graph in process, with `threads` threads."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.codebook_version = bundle.codebook_version
        self.types = bundle.types
        self.stores = bundle.stores
        self._finish = bundle.finisher()
        self._probe_codes = bundle.probe_codes
        self._session = open_graph(bundle.model, threads)

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        """Encode float32 [n, W] raw vectors (n may be 0); see Encoder."""
        check_vectors(vectors)
        try:
            encoding = run_graph(self._session, vectors)
        except Exception as error:  # onnxruntime has a class per status code and no common root but this
            raise EncoderUnavailableError(f"ONNX Runtime failed on {len(vectors)} rows: {error}") from error
        return self._finish(encoding, vectors)

    def probe(self) -> None:
        """Run the probe vectors; see Encoder."""
        codes = tuple(self.encode(PROBE_VECTORS).code.tolist())
        if codes != self._probe_codes:
            raise EncoderUnavailableError(
                f"ONNX Runtime gives the probe vectors the codes {codes}, "
                f"the bundle gives {self._probe_codes}"
            )

    def close(self) -> None:
        """Nothing to do: the session is freed with its last reference."""
