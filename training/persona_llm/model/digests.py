"""SHA-256 of the files of a folder, for its manifest, and whether they still are those."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in the folder, by its path in it."""
    return {
        str(path.relative_to(folder)): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def changed(folder: Path, named: Mapping[str, str]) -> Path | None:
    """The first of the named files that is missing or has another SHA-256; None: all are as they were."""
    for name, digest in named.items():
        path = folder / name
        if not path.is_file() or _digest(path) != digest:
            return path
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
