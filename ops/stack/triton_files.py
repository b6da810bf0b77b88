"""Triton's own virtual environment: the real server in the wheel nvidia-pytriton, whose pins exclude ours."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.errors import DownloadError
from ops.stack.cache import cache_dir, exclusive
from ops.stack.processes import Say

REQUIREMENTS: Final = Path(__file__).parents[2] / "requirements" / "triton.txt"
_PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class TritonFiles:
    """An installed Triton."""

    root: Path

    @property
    def venv(self) -> Path:
        """The virtual environment whose Python the model runs in."""
        return self.root / "venv"

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return self.venv / "lib" / f"python{_PYTHON}" / "site-packages"

    @property
    def server(self) -> Path:
        """The tritonserver binary."""
        return self.packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        """A copy of the wheel's backends with the stub of our Python version in it."""
        return self.root / "backends"

    def variables(self) -> dict[str, str]:
        """Environment variables of the server.

        The stub ignores PYTHONPATH and takes the Python that is first on PATH; libpython it finds through
        LD_LIBRARY_PATH.
        """
        libraries = f"{self.packages / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"
        return {"PATH": f"{self.venv / 'bin'}:{os.environ['PATH']}", "LD_LIBRARY_PATH": libraries}


def triton_files(say: Say) -> TritonFiles:
    """Triton's files, in the cache; installed on the first call with these requirements.

    Raises:
        DownloadError: no requirements file, or uv could not install it.
    """
    if not REQUIREMENTS.exists():
        raise DownloadError(f"{REQUIREMENTS} is missing: Triton is installed from a checkout of the project")
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + _PYTHON.encode()).hexdigest()[:12]
    files = TritonFiles(cache_dir() / "triton" / digest)
    complete = files.root / "complete"
    with exclusive(cache_dir() / "triton.lock"):
        if not complete.exists():
            say("installing Triton 2.51 into an environment of its own (380 MB, once on this machine)")
            shutil.rmtree(files.root, ignore_errors=True)  # an installation that was cut off
            _install(files)
            complete.touch()
    return files


def _install(files: TritonFiles) -> None:
    _uv("venv", "--quiet", "--python", sys.executable, str(files.venv))
    python = str(files.venv / "bin" / "python")
    _uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(REQUIREMENTS))
    wheel = files.packages / "pytriton" / "tritonserver"
    shutil.copytree(wheel / "backends", files.backends)
    stub = wheel / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub"
    shutil.copy(stub, files.backends / "python")


def _uv(*arguments: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise DownloadError(f"Triton could not be installed: uv {arguments[0]} failed: {ran.stderr.strip()}")
