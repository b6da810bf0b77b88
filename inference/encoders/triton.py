"""The encoder on a Triton server, over gRPC."""

from __future__ import annotations

from typing import Final

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from inference.bundles.bundle import PROBE_VECTORS, Bundle
from inference.encoders.encoder import Encoding, check_vectors
from inference.encoders.graph import LAYOUTS, MAX_ROWS, join, told_by
from inference.encoders.triton_repository import MODEL_NAME, model_version
from inference.errors import BundleError, EncoderUnavailableError

_CHANNEL: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC backs off up to 120 s by default: a server that is back would stay unused that long.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]

_PROBE_TIMEOUT_S: Final = 0.5
"""A probe takes 2 ms. While a server hangs, each retry costs a batch this much, not timeout_s."""


class TritonEncoder:
    """Gets the codes of one bundle from a Triton server, by the version number of the bundle's graph.

    The constructor sends nothing; `check_server` checks that the server has the bundle. A server that is
    away, or was restarted with another bundle, causes an EncoderUnavailableError, never a wrong code.
    """

    def __init__(
        self, bundle: Bundle, url: str, model_name: str = MODEL_NAME, timeout_s: float = 2.0
    ) -> None:
        self.codebook_version = bundle.codebook_version
        self.types = bundle.types
        self.stores = bundle.stores
        self._finish, self._layout = bundle.finisher(), LAYOUTS[bundle.manifest.feature_version]
        self._probe_codes = bundle.probe_codes
        self.version = str(model_version(bundle))
        self._url = url
        self._model = model_name
        self._timeout_s = timeout_s
        self._outputs = [triton.InferRequestedOutput(name) for name in self._layout.served]
        self._client = triton.InferenceServerClient(url, channel_args=_CHANNEL)

    def check_server(self) -> None:
        """Check at start that the server serves this bundle.

        Raises:
            BundleError: the server serves another bundle.
            EncoderUnavailableError: the server or its model is away, or fails the probe.
        """
        try:
            served = self._client.get_model_metadata(self._model, client_timeout=self._timeout_s).versions
            config = self._client.get_model_config(self._model, client_timeout=self._timeout_s).config
        except InferenceServerException as error:
            raise self._unavailable(error) from error
        if self.version not in served:
            theirs = config.parameters["codebook_version"].string_value
            raise BundleError(
                f"Triton at {self._url} serves the codebook {theirs!r} (version {', '.join(served)} of "
                f"{self._model}), this worker's bundle is {self.codebook_version!r} (version "
                f"{self.version}); load the bundle on the server or start with the server's bundle"
            )
        self.probe()

    def encode(self, vectors: NDArray[np.float32]) -> Encoding:
        """Encode float32 [n, W] raw vectors (n may be 0), at most MAX_ROWS per call; see Encoder."""
        check_vectors(vectors)
        starts = range(0, len(vectors), MAX_ROWS)
        parts = [self._infer(vectors[start : start + MAX_ROWS], self._timeout_s) for start in starts]
        return self._finish(join(parts), vectors)

    def probe(self) -> None:
        """Encode the probe vectors on the server; see Encoder."""
        timeout_s = min(self._timeout_s, _PROBE_TIMEOUT_S)
        codes = tuple(self._infer(PROBE_VECTORS, timeout_s).code.tolist())
        if codes != self._probe_codes:
            raise EncoderUnavailableError(
                f"Triton at {self._url} gives the probe vectors the codes {codes}, the bundle gives "
                f"{self._probe_codes}"
            )

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def _infer(self, rows: NDArray[np.float32], timeout_s: float) -> Encoding:
        vector = triton.InferInput("vector", [len(rows), self._layout.width], "FP32")
        vector.set_data_from_numpy(np.ascontiguousarray(rows[:, : self._layout.width]))
        try:
            result = self._client.infer(
                self._model,
                [vector],
                model_version=self.version,
                outputs=self._outputs,
                client_timeout=timeout_s,
            )
        except InferenceServerException as error:
            raise self._unavailable(error) from error
        columns = [result.as_numpy(name) for name in self._layout.served]
        if any(column is None or column.size != len(rows) for column in columns):
            raise EncoderUnavailableError(
                f"Triton at {self._url} sent an answer that is not {len(rows)} rows"
            )
        # The client's arrays are read-only: another type to numba, which would compile each kernel again.
        return told_by(self._layout, [column.reshape(-1).copy() for column in columns])

    def _unavailable(self, error: InferenceServerException) -> EncoderUnavailableError:
        return EncoderUnavailableError(
            f"Triton at {self._url} did not answer for {self._model} version {self.version}: "
            f"{error.message()} ({error.status()})"
        )
