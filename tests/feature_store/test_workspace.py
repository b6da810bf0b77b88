"""A workspace leaves the finished file or nothing, whatever ends the job."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feature_store.errors import OutputError
from feature_store.workspace import make_parent, publish, workspace, write_whole

_HOLD = """
import sys, time
from pathlib import Path
from feature_store.workspace import workspace
with workspace(Path(sys.argv[1])) as work:
    (work / "shards").mkdir()
    (work / "shards" / "half").write_bytes(b"x")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_what_is_published_stays_and_the_rest_goes(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with workspace(out) as work:
        (work / "part").write_bytes(b"whole")
        (work / "shards").mkdir()
        assert not out.exists()
        publish(work / "part", out)
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    assert out.read_bytes() == b"whole"


def fail_half_way(work: Path) -> None:
    (work / "part").write_bytes(b"half")
    raise ValueError("the model diverged")


def test_an_error_leaves_what_was_there_before(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.write_bytes(b"old")
    with pytest.raises(ValueError, match="diverged"), workspace(out) as work:
        fail_half_way(work)
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    assert out.read_bytes() == b"old"


def test_a_killed_job_is_tidied_up_by_the_next_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(out)], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        with pytest.raises(OutputError, match=r"another run is writing .*out\.parquet"), workspace(out):
            pass
        assert (tmp_path / ".out.parquet.work" / "shards" / "half").exists()
        job.send_signal(signal.SIGKILL)
    with workspace(out) as work:
        assert [path.name for path in work.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_result_is_made_or_said_to_be_impossible(tmp_path: Path) -> None:
    make_parent(tmp_path / "new" / "folder" / "out.parquet")
    make_parent(tmp_path / "new" / "folder" / "out.parquet")
    assert [path.name for path in (tmp_path / "new" / "folder").parent.iterdir()] == ["folder"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/out\.parquet cannot be written: .*file is no folder"):
        make_parent(tmp_path / "file" / "out.parquet")
    with pytest.raises(OutputError, match=r"cannot be written: Not a directory"):
        make_parent(tmp_path / "file" / "folder" / "out.parquet")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"file/out\.parquet cannot be written: Not a directory"
    with pytest.raises(OutputError, match=message), workspace(tmp_path / "file" / "out.parquet"):
        pass
    message = r"gone/out\.parquet cannot be written: No such file or directory"
    with pytest.raises(OutputError, match=message), workspace(tmp_path / "gone" / "out.parquet"):
        pass


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
