"""`make audit`: what each environment is made of, and which of it has known vulnerabilities.

For each file of pins it writes a bill of materials (CycloneDX, by cyclonedx-py). Advisories are OSV's.
pip-audit asks its service; where there is no network, `--database` names an export of it, a zip with a JSON
record per advisory. An export is as old as its newest record, which is printed.

Exits 0 without a finding, 1 with one, 2 where nothing could be found out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from zipfile import BadZipFile, ZipFile

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT: Final = Path(__file__).resolve().parents[1]
PINS: Final = tuple(
    ROOT / "requirements" / f"{name}.txt" for name in ("serve", "demo", "gpu", "dev", "triton")
)
_CYCLONEDX: Final = "cyclonedx-bom==7.5.0"
_PIP_AUDIT: Final = "pip-audit==2.10.1"
_ECOSYSTEM: Final = "PyPI"


class AuditError(Exception):
    """Nothing could be found out."""


class Finding(NamedTuple):
    """A pinned package that an advisory is about. fixed: versions without the fault, by the advisory."""

    name: str
    version: str
    advisory: str
    fixed: tuple[str, ...]


class _Package(msgspec.Struct):
    name: str
    ecosystem: str


class _Range(msgspec.Struct):
    type: str
    events: tuple[dict[str, str], ...]


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: tuple[_Range, ...] = ()
    versions: tuple[str, ...] = ()


class Advisory(msgspec.Struct):
    """A record of OSV (its schema 1), as far as it is read here."""

    id: str
    modified: str
    withdrawn: str | None = None
    affected: tuple[_Affected, ...] = ()


def pins(path: Path) -> dict[str, str]:
    """Package -> version of a file that uv compiled."""
    lines = [line for line in path.read_text().splitlines() if "==" in line and line[0] not in " #"]
    return dict(line.split(" ")[0].split("==", 1) for line in lines)


def read_database(path: Path) -> list[Advisory]:
    """The advisories of an export.

    Raises:
        AuditError: it is no such export.
    """
    decode = msgspec.json.Decoder(Advisory).decode
    try:
        with ZipFile(path) as export:
            found = [decode(export.read(name)) for name in export.namelist() if name.endswith(".json")]
    except (OSError, BadZipFile, msgspec.MsgspecError) as error:
        raise AuditError(f"{path} is no export of OSV's advisories: {error}") from None
    if not found:
        raise AuditError(f"{path} holds no advisory")
    return found


def findings(packages: dict[str, str], advisories: Iterable[Advisory]) -> Iterator[Finding]:
    """What the advisories say about these packages; withdrawn ones say nothing."""
    named = {canonicalize_name(name): (name, version) for name, version in packages.items()}
    for advisory in advisories:
        for affected in advisory.affected if advisory.withdrawn is None else ():
            about = affected.package
            if about is None or about.ecosystem != _ECOSYSTEM:
                continue
            name, version = named.get(canonicalize_name(about.name), ("", ""))
            if name and _affects(affected, version):
                fixed = [
                    event["fixed"]
                    for range_ in affected.ranges
                    for event in range_.events
                    if "fixed" in event
                ]
                yield Finding(name, version, advisory.id, tuple(fixed))


def _affects(affected: _Affected, version: str) -> bool:
    if version in affected.versions:
        return True
    return any(_within(range_, Version(version)) for range_ in affected.ranges if range_.type == "ECOSYSTEM")


def _within(range_: _Range, version: Version) -> bool:
    """Whether a version lies in a range: the last event at or before it decides, as OSV's schema has it."""
    inside = False
    for kind, at in sorted(((*event.items(),)[0] for event in range_.events), key=lambda one: _order(one[1])):
        here = _order(at)
        if kind == "introduced":
            inside = inside or version >= here
        elif version > here or (kind == "fixed" and version == here):
            inside = False
    return inside


def _order(version: str) -> Version:
    try:
        return Version(version)
    except InvalidVersion:  # of a time before the rules of versions
        return Version("0")


def ask_service(path: Path) -> list[Finding]:
    """What OSV's service knows of a file's pins.

    Raises:
        AuditError: it could not be asked.
    """
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    asked = _tool(
        _PIP_AUDIT, "pip-audit", "--vulnerability-service", "osv", *options, "--requirement", str(path)
    )
    try:
        answer: dict[str, Any] = json.loads(asked.stdout)
    except ValueError:
        last = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        raise AuditError(
            f"OSV's service cannot be asked ({last}); --database takes an export of it"
        ) from None
    return [
        Finding(found["name"], found["version"], fault["id"], tuple(fault["fix_versions"]))
        for found in answer["dependencies"]
        for fault in found.get("vulns", ())
    ]


def write_bill(path: Path, folder: Path) -> Path:
    """Write what a file pins as CycloneDX JSON into the folder.

    Raises:
        AuditError: cyclonedx-py could not be run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bill = folder / f"{path.stem}.cdx.json"
    options = ["--output-format", "JSON", "--output-reproducible", "--output-file", str(bill)]
    made = _tool(_CYCLONEDX, "cyclonedx-py", "requirements", *options, str(path))
    if made.returncode:
        raise AuditError(f"the bill of {path.name} cannot be made: {made.stderr.strip()}")
    return bill


def _tool(package: str, *command: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", package, *command]
    return subprocess.run(run, capture_output=True, text=True, check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the bills, then print findings; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make audit", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--database", type=Path, help="export of OSV's advisories for Python packages (a zip)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "sbom", help="folder of the bills")
    asked = parser.parse_args(arguments)
    try:
        for path in PINS:
            print(f"wrote {write_bill(path, asked.out)}")
        found = _of_database(asked.database) if asked.database else _of_service()
    except AuditError as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    for finding, files in sorted(found.items()):
        fixed = f"fixed in {', '.join(finding.fixed)}" if finding.fixed else "no fixed version"
        print(f"{finding.name} {finding.version}: {finding.advisory}, {fixed} ({', '.join(files)})")
    print(f"known vulnerabilities: {len(found)}")
    return 1 if found else 0


def _of_database(path: Path) -> dict[Finding, list[str]]:
    advisories = read_database(path)
    newest = max(advisory.modified for advisory in advisories)
    print(f"{len(advisories):,} advisories of {path.name}, the newest of {newest}; later ones are not known")
    return _by_file((pinned, findings(pins(pinned), advisories)) for pinned in PINS)


def _of_service() -> dict[Finding, list[str]]:
    return _by_file((pinned, ask_service(pinned)) for pinned in PINS)


def _by_file(found: Iterable[tuple[Path, Iterable[Finding]]]) -> dict[Finding, list[str]]:
    files = dict[Finding, list[str]]()
    for path, each in found:
        for finding in dict.fromkeys(each):
            files.setdefault(finding, []).append(path.stem)
    return files


if __name__ == "__main__":
    sys.exit(main())
