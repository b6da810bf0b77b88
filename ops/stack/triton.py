"""A real Triton Inference Server on the CPU, 127.0.0.1, serving one model repository."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ops.stack.processes import Say, Server, port_answers, silent
from ops.stack.triton_files import triton_files

SHARED_MEMORY: Final = Path("/dev/shm")


class Triton(Server):
    """Triton with explicit model control: the model is loaded at start, versions later by its API.

    Ready means that the model is loaded, not that it works: a stub that died later still counts as
    ready. Health is a real inference (`Encoder.probe`).
    """

    name = "triton"
    port_count = 3  # gRPC, HTTP, metrics
    ready_seconds = 120  # a model's warm-up counts
    grace_seconds = 10

    def __init__(
        self,
        model_repository: Path,
        folder: Path,
        *,
        model: str = "encoder",
        owned: bool = False,
        say: Say = silent,
    ) -> None:
        super().__init__(folder, owned=owned, say=say)
        self.model_repository = model_repository.resolve()
        self.model = model

    @property
    def address(self) -> str:
        """host:port for gRPC clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        """Base URL of the HTTP API."""
        return f"http://127.0.0.1:{self.ports[1]}"

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command line; installs Triton on the first call on this machine."""
        files = triton_files(self.say)
        self._free_shared_memory()
        options: dict[str, object] = {
            "model-repository": self.model_repository,
            "backend-directory": files.backends,
            "model-control-mode": "explicit",
            "load-model": self.model,
            "exit-timeout-secs": 5,
            "backend-config": f"python,shm-region-prefix-name={self._shared_memory_prefix}",
            "allow-gpu-metrics": "false",
            **{f"{what}-address": "127.0.0.1" for what in ("grpc", "http", "metrics")},
            **{
                f"{what}-port": port
                for what, port in zip(("grpc", "http", "metrics"), self.ports, strict=True)
            },
        }
        return [str(files.server), *(f"--{key}={value}" for key, value in options.items())], files.variables()

    def answers(self) -> bool:
        """Whether the server is live and the model is loaded.

        Not /v2/health/ready: one failed load of any version leaves it at 400 until a restart.
        """
        if not port_answers(self.port):
            return False
        try:
            with urllib.request.urlopen(f"{self.http_url}/v2/models/{self.model}/ready", timeout=2) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL the server and its stubs, and free the shared memory that they leave behind."""
        super().kill()
        self._free_shared_memory()

    @property
    def _shared_memory_prefix(self) -> str:
        return f"simpersona_triton_{self.port}_"

    def _free_shared_memory(self) -> None:
        for left in SHARED_MEMORY.glob(f"{self._shared_memory_prefix}*"):
            left.unlink(missing_ok=True)
