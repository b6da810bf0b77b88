"""fold and encode of a history that memory is told not to hold, and of files and disks that fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from click import Command
from click.testing import CliRunner

from feature_store.errors import SimpersonaError
from feature_store.history import shards
from feature_store.sources.writer import write_events
from ops.cli.files.encode import encode
from ops.cli.files.fold import fold
from ops.traffic import TrafficConfig, generate

COMMANDS = pytest.mark.parametrize("command", [fold, encode], ids=["fold", "encode"])


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    write_events(path, generate(TrafficConfig(buyers=300, stores=2), 5))
    return path


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    spilling = partial(shards.shard_events, shards=5, limits=shards.Limits(events=500))
    monkeypatch.setattr(shards, "shard_events", spilling)


def table(command: Command, path: Path, out: Path, *options: str) -> pl.DataFrame:
    result = CliRunner().invoke(command, [str(path), "--out", str(out), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return pl.read_parquet(out).sort("store", "buyer")


@COMMANDS
@pytest.mark.parametrize("options", [(), ("--prefix", "3")], ids=["whole", "prefix"])
def test_the_same_rows_as_in_memory(
    command: Command,
    options: tuple[str, ...],
    events: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    in_memory = table(command, events, tmp_path / "a.parquet", *options)
    request.getfixturevalue("little_memory")
    on_disk = table(command, events, tmp_path / "b.parquet", *options)
    assert len(on_disk) == 300
    assert on_disk.equals(in_memory)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def _no_file(path: Path) -> None:
    path.write_bytes(b"")


def _no_event(path: Path) -> None:
    pl.DataFrame(schema={"schema_version": pl.Int8}).write_parquet(path)


def _damaged(path: Path) -> None:
    write_events(path, generate(TrafficConfig(buyers=300, stores=2), 5))
    whole = bytearray(path.read_bytes())
    whole[1000:3000] = bytes(2000)
    path.write_bytes(whole)


@COMMANDS
@pytest.mark.parametrize("spoil", [_no_file, _no_event, _damaged])
def test_a_file_that_cannot_be_read_leaves_nothing(
    command: Command, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "bad.parquet"
    spoil(path)
    result = CliRunner().invoke(command, [str(path), "--out", str(tmp_path / "out.parquet")])
    assert isinstance(result.exception, SimpersonaError)
    assert str(path) in str(result.exception)
    assert [left.name for left in tmp_path.iterdir()] == ["bad.parquet"]


@COMMANDS
@pytest.mark.parametrize("room", [1_000, 30_000], ids=["in the output", "in the shards"])
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(
    command: Command, room: int, events: Path, tmp_path: Path
) -> None:
    """No file may grow past `room` bytes: the kernel refuses the write, as it does on a full disk."""
    spill = room == 30_000
    out = tmp_path / "out.parquet"
    program = (
        "import functools, resource, sys\n"
        "from feature_store.history import offline_fold, shards\n"
        "offline_fold.warm_up()\n"  # compiled kernels go to files, too
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        f"limits = shards.Limits(events={500 if spill else 10**6})\n"
        "shards.shard_events = functools.partial(shards.shard_events, shards=1, limits=limits)\n"
        f"sys.argv = ['simpersona', {command.name!r}, {str(events)!r}, '--out', {str(out)!r}]\n"
        "from ops.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"simpersona: {out} cannot be written: File too large" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
