"""Load a bundle onto a running Triton server, and revive a model whose process died.

Triton keeps answering while it loads a new version beside those that it serves. A version that cannot be
loaded fails the call and changes nothing. The previous version stays, for workers that do not know of the
swap yet and for a rollback; older versions are removed.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import tritonclient.grpc as triton
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from feature_store.workspace import write_whole
from inference.bundles.bundle import Bundle
from inference.encoders.triton import TritonEncoder
from inference.encoders.triton_repository import MODEL_NAME, Variant, build_repository, model_version
from inference.errors import EncoderUnavailableError

log = structlog.get_logger(__name__)

_LOAD_S: Final = 120.0
"""Loading includes the warm-up, which took 20 s on a busy machine."""
_REPAIR_EVERY_S: Final = 30.0
"""A repair disturbs every other client of the model for some seconds."""
_CALL_S: Final = 2.0


def put_live(bundle: Bundle, repository: Path, url: str, timeout_s: float = _LOAD_S) -> list[int]:
    """Put a bundle on a running server: write its repository, load and probe. Returns the served versions.

    In a swap this comes first, and then the command to the workers. A rollback is the same call.

    Raises:
        EncoderUnavailableError: the server is away or refused the version. The versions of before are still
            served, and the repository's configuration is again that of before.
    """
    config_path = repository / MODEL_NAME / "config.pbtxt"
    before = config_path.read_bytes()
    config = text_format.Parse(before.decode(), model_config_pb2.ModelConfig())
    version, served = model_version(bundle), list(config.version_policy.specific.versions)
    kept = [number for number in served if number != version][-1:]
    build_repository(bundle, repository, _variant(config), kept)
    try:
        with triton.InferenceServerClient(url) as server:
            server.load_model(MODEL_NAME, client_timeout=timeout_s)
        _probe(bundle, url)
    except (InferenceServerException, EncoderUnavailableError) as error:
        write_whole(config_path, before)
        raise EncoderUnavailableError(
            f"Triton at {url} did not load the codebook {bundle.codebook_version!r}; it still serves "
            f"the versions of before: {error}"
        ) from error
    _remove_others(repository / MODEL_NAME, {*kept, version})
    return [*kept, version]


def _probe(bundle: Bundle, url: str) -> None:
    encoder = TritonEncoder(bundle, url, timeout_s=_CALL_S)
    try:
        encoder.probe()
    finally:
        encoder.close()


def _variant(config: model_config_pb2.ModelConfig) -> Variant:
    if config.backend == "python":
        return "python"
    on_gpu = config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    return "onnxruntime-gpu" if on_gpu else "onnxruntime-cpu"


def _remove_others(model: Path, kept: set[int]) -> None:
    for folder in model.iterdir():
        if folder.name.isdecimal() and int(folder.name) not in kept:
            shutil.rmtree(folder)


class TritonRepair:
    """Unloads and loads a model whose process died: Triton still reports it as ready and does not restart it.

    Call it after a failed inference. It works in a thread, because loading takes seconds, in which the
    fallback encodes. It runs at most once per half minute.
    """

    def __init__(
        self, url: str, model: str, version: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._model, self._version, self._clock = url, model, version, clock
        self._next = 0.0
        self._thread: threading.Thread | None = None

    def __call__(self) -> None:
        """Start a repair, unless one is running or was tried in the last half minute."""
        if self._clock() < self._next or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = self._clock() + _REPAIR_EVERY_S
        self._thread = threading.Thread(target=self.repair, name="triton-repair", daemon=True)
        self._thread.start()

    def repair(self) -> None:
        """Unload and load the model, if the server reports that it serves the version."""
        try:
            with triton.InferenceServerClient(self._url) as server:
                if not server.is_model_ready(self._model, self._version, client_timeout=_CALL_S):
                    return  # it reports that it does not serve this version: loading it is up to an operator
                log.warning("triton_repair", model=self._model, version=self._version)
                server.unload_model(self._model, client_timeout=_LOAD_S)
                server.load_model(self._model, client_timeout=_LOAD_S)
        except InferenceServerException as error:
            log.warning("triton_repair_failed", model=self._model, error=error.message())
