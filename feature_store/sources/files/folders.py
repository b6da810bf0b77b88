"""A path as people give it: one file, a folder of them, or a pattern (`exports/2026-*.csv.gz`)."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Final, NamedTuple

from feature_store.errors import EventSourceError
from feature_store.sources.files.kinds import SUFFIXES, named_kind

MAX_FILES: Final = 100_000


class Files(NamedTuple):
    """The files of a source, in the order of their names; ignored: those of a folder that hold no events."""

    paths: list[Path]
    ignored: list[str]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.paths)


def is_pattern(path: Path) -> bool:
    """Whether a path is no file but a pattern of names."""
    return not path.exists() and glob.has_magic(str(path))


def files_of(path: Path) -> Files:
    """The files that a path names. In a folder, hidden ones and those that begin with "_" are left out.

    Raises:
        EventSourceError: there is none, or there are too many.
    """
    if path.is_file():
        return Files([path], [])
    if is_pattern(path):
        found = sorted(Path(name) for name in glob.iglob(str(path), recursive=True) if Path(name).is_file())  # noqa: PTH207  (Path.glob takes no absolute pattern)
        if not found:
            raise EventSourceError(f"no file is named as {path}")
        return _bounded(path, Files(found, []))
    if not path.is_dir():
        raise EventSourceError(f"there is no file {path}")
    taken, ignored = [], []
    for inside in sorted(path.rglob("*")):
        parts = inside.relative_to(path).parts
        if not inside.is_file() or any(part.startswith((".", "_")) for part in parts):
            continue
        if named_kind(inside) is not None or not inside.suffix:
            taken.append(inside)
        else:
            ignored.append("/".join(parts))
    if not taken:
        raise EventSourceError(
            f"the folder {path} is no archive and holds no file of events: they are read from {SUFFIXES}"
        )
    return _bounded(path, Files(taken, ignored))


def _bounded(path: Path, files: Files) -> Files:
    if len(files.paths) > MAX_FILES:
        raise EventSourceError(
            f"{path} names {len(files.paths):,} files; at most {MAX_FILES:,} are read as one"
        )
    return files
