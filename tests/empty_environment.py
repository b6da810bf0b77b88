"""Environments that hold one wheel and the distributions that it declares, and nothing else.

The distributions are links into the development environment, so no index is asked and nothing is copied. This
proves that a wheel's files and its declared requirements are enough. It does not prove that an index serves
them, nor that the lowest versions that the wheel allows will do.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = Path(sysconfig.get_path("purelib"))
SITE = INSTALLED.relative_to(sys.prefix)


def build_wheel(project: Path, folder: Path) -> Path:
    """The project's wheel, made of the files that git tracks: leftovers of other builds are not in it."""
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=project, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (project / name).is_file():  # not those deleted since
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, source / name)
    options = ["--quiet", "--wheel", "--offline", "--no-build-isolation", "--python", sys.executable]
    uv("build", *options, "--out-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


class EmptyEnvironment:
    """A virtual environment of a wheel alone, with what the wheel requires under `extras`."""

    def __init__(self, folder: Path, wheel: Path, extras: Iterable[str] = ()) -> None:
        self.python = folder / "bin" / "python"
        self.site = folder / SITE
        uv("venv", "--quiet", "--offline", "--python", sys.executable, str(folder))
        uv("pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(self.python), str(wheel))
        (own,) = self.site.glob("*.dist-info")
        self.linked = requirements_of(PathDistribution(own), frozenset(extras))
        for name in self.linked:
            self._link(distribution(name))

    def command(self, name: str) -> str:
        """Path of a command that the wheel brings."""
        return str(self.python.with_name(name))

    def _link(self, found: Distribution) -> None:
        for part in {_part(Path(str(file))) for file in found.files or () if ".." not in file.parts}:
            link = self.site / part
            if not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(INSTALLED / part)


def requirements_of(root: Distribution, extras: frozenset[str]) -> set[str]:
    """Names of the distributions that `root` requires, and those require in turn."""
    found, waiting = set[str](), [(root, extras)]
    seen = set[tuple[str, frozenset[str]]]()
    while waiting:
        dist, wanted = waiting.pop()
        for text in dist.requires or ():
            need = Requirement(text)
            if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in {"", *wanted}):
                continue
            key = (canonicalize_name(need.name), frozenset(need.extras))
            if key not in seen:
                seen.add(key)
                found.add(key[0])
                waiting.append((distribution(need.name), key[1]))
    return found


def names_in(wheel: Path) -> set[str]:
    """Paths of a wheel's files, without those that describe it."""
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def uv(*arguments: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def _part(file: Path) -> Path:
    """What to link for a file: its package, or the file alone in a folder that several packages share."""
    for depth in range(1, len(file.parts)):
        folder = Path(*file.parts[:depth])
        if folder.suffix == ".dist-info" or (INSTALLED / folder / "__init__.py").exists():
            return folder
    return file
