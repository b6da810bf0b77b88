"""Threads share arenas of the C library, so that what one frees another uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COUNT = """
import ctypes, sys, threading
from inference.api.memory import bound_arenas
bound_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(8)
def work():
    together.wait()
    libc.malloc(ctypes.c_size_t(50_000))
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc_info")
def test_eight_threads_have_two_arenas(tmp_path: Path) -> None:
    told = tmp_path / "arenas.xml"
    subprocess.run([sys.executable, "-c", COUNT, str(told)], check=True)
    assert 1 <= told.read_text().count("<heap nr=") <= 2
