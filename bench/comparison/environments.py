"""A virtual environment for each peer whose pins contradict ours, made once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bench.comparison.peers import ROOT
from ops.errors import DownloadError
from ops.stack.cache import cache_dir, exclusive
from ops.stack.processes import Say


def python_of(requirements: str | None, say: Say) -> Path:
    """The interpreter to run a peer with; None is this one.

    Raises:
        DownloadError: uv could not install the pin set.
    """
    if requirements is None:
        return Path(sys.executable)
    pins = ROOT / "requirements" / f"{requirements}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_dir() / requirements / digest
    with exclusive(cache_dir() / f"{requirements}.lock"):
        if not (folder / "complete").exists():
            say(f"installing {requirements} into an environment of its own (400 MB, once on this machine)")
            shutil.rmtree(folder, ignore_errors=True)  # an installation that was cut off
            _uv("venv", "--quiet", "--python", sys.executable, str(folder))
            python = str(folder / "bin" / "python")
            _uv(
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--require-hashes",
                "--python",
                python,
                "-r",
                str(pins),
            )
            (folder / "complete").touch()
    return folder / "bin" / "python"


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise DownloadError(f"a peer could not be installed: uv {arguments[0]} failed: {ran.stderr.strip()}")
