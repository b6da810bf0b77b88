"""What a command tells a person never holds it up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.waiting import PATIENCE_S

TELL = "from ops.cli.telling import tell; tell('the end')"


@pytest.fixture
def unread_pipe() -> Iterator[int]:
    """The writing end of a pipe that is full, open and unread."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, bytes(4096)):
            pass
    os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


def test_a_line_that_nobody_reads_is_dropped(unread_pipe: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", TELL], stderr=unread_pipe)
    try:
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_a_line_that_somebody_reads_arrives() -> None:
    ran = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, check=True)
    assert ran.stderr == "the end\n"
