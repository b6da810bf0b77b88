"""A signal ends a command by an exception that cannot get lost, with an exit status of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.interrupts import Interrupted, interrupts

ROOT = Path(__file__).resolve().parents[2]
_BEGIN = "import os, signal, sys, time, weakref\nfrom ops.interrupts import interrupts\n"
SWALLOWED = {
    "a bare except": """
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except:
            pass
    """,
    "a weakref's callback": """
        class Thing: pass
        thing = Thing()
        kept = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
        del thing
    """,
    "__del__": """
        class Thing:
            def __del__(self): os.kill(os.getpid(), signal.SIGINT)
        Thing()
    """,
}
_SWALLOWS = """
with interrupts():
    if True:
{swallowing}
    time.sleep(60)
"""
_TURNS = """
with interrupts():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        raise ImportError("initialization failed") from error
"""
_CLEANS_UP = """
with interrupts():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        for _ in range(100):
            time.sleep(0.01)
            try: {}["no such key"]
            except KeyError: pass
        print("clean")
"""
# What happens when Ctrl-C falls into the import of a module that makes a dataclass.
_IN_EXEC = """
with interrupts():
    exec("os.kill(os.getpid(), signal.SIGINT)")
"""
_LATER_HANDLER = """
with interrupts():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except SystemExit:
        pass
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    while not asked:
        time.sleep(0.01)
    print("stopped well")
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _BEGIN + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("swallower", SWALLOWED)
def test_an_interrupt_that_python_or_a_library_swallows_comes_again(swallower: str) -> None:
    assert ended(_SWALLOWS.format(swallowing=SWALLOWED[swallower])).returncode == 130


def test_an_interrupt_that_a_library_turns_into_an_error_is_one() -> None:
    done = ended(_TURNS)
    assert (done.returncode, done.stderr) == (130, "")


def test_it_does_not_come_again_while_the_command_cleans_up() -> None:
    done = ended(_CLEANS_UP)
    assert (done.returncode, done.stdout) == (143, "clean\n")


def test_a_command_that_has_a_handler_of_its_own_by_then_hears_it() -> None:
    done = ended(_LATER_HANDLER)
    assert (done.returncode, done.stdout) == (0, "stopped well\n")


def test_a_ctrl_c_inside_exec_has_the_same_exit_status(tmp_path: Path) -> None:
    (tmp_path / "in_exec.py").write_text(_BEGIN + _IN_EXEC)
    command = [sys.executable, "-m", "in_exec"]  # CPython looks at its note only after a module's run
    path = f"{tmp_path}:{ROOT}"
    done = subprocess.run(command, env={"PYTHONPATH": path}, check=False)
    assert done.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_exits_with_its_number_and_handlers_are_given_back(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(Interrupted) as exit_, interrupts():
            signal.raise_signal(number)
        assert exit_.value.code == 128 + number
        assert signal.getsignal(number) == signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_sigint_is_taken_where_it_is_ignored_and_sighup_is_not() -> None:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        with interrupts():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(Interrupted):
                signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_is_ignored_raises_nothing() -> None:
    with interrupts() as interrupted:
        interrupted.ignore()
        signal.raise_signal(signal.SIGINT)
