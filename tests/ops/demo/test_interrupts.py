"""A signal ends a command by an exception whose exit status is the command's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.demo.interrupts import Interrupted, interrupts

# What happens when Ctrl-C falls into the import of a module that makes a dataclass.
_IN_EXEC = """
import os, signal, sys
from ops.demo.interrupts import interrupts
try:
    with interrupts():
        exec("os.kill(os.getpid(), signal.SIGINT)")
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_a_caught_ctrl_c_inside_exec_does_not_kill_the_process_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "in_exec.py").write_text(_IN_EXEC)
    command = [sys.executable, "-m", "in_exec"]  # CPython looks at its note only after a module's run
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert ended.returncode == 130


def test_sigterm_exits_with_its_number_and_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as exit_, interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert exit_.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_ignored_raises_nothing() -> None:
    with interrupts() as interrupted:
        interrupted.ignore()
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted), interrupts():
        signal.raise_signal(signal.SIGINT)
