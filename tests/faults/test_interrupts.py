"""SIGINT and SIGTERM end every command, at whatever moment they come.

In `make test` each command gets one of the two at one moment, in turn. `make interrupts` tries 50 moments for
each command and signal. A moment is drawn, by seed, from the call of a command, which it still has to import,
to some time after it is at work.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig import Rig
from tests.waiting import random_moment

MOMENTS = int(os.environ.get("SIMPERSONA_TEST_MOMENTS", "1"))
SEED = int(os.environ.get("SIMPERSONA_TEST_SEED", "1"))
SERVING = {
    "worker": ["worker"],
    "api": ["api"],
    "archive": ["archive"],
    "webhook": ["webhook"],
    "live traffic": ["events", "generate", "--to-kafka", "--rate", "50"],
}
"""Commands that serve until they are told to end, and then end well; before that, they were interrupted."""
WORKING = {
    "drift": ["drift", "--watch", "--every", "1"],
    "traffic": ["events", "generate", "--out", "{home}/made.ndjson", "--buyers", "10000000"],
    "demo": ["demo", "--seconds", "600"],
}
"""Commands that work on something for long, and are interrupted."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BEGUN = "begun"
_RUN = f"""
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script's & leaves it
from ops.cli import main
command = main.simpersona
def begin(**options):
    print({_BEGUN!r}, flush=True)
    command(**options)
main.simpersona = begin
main.main()
"""
_PATIENCE_S = 100


def begun(argv: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[str]:
    """Start a command; returns when it is called, before it is imported."""
    command = [sys.executable, "-c", _RUN, *argv]
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == _BEGUN, log.read_text()
    return process


def ended(process: subprocess.Popen[str]) -> int:
    """The exit status; that of a kill where it does not end."""
    try:
        return process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.faults
@pytest.mark.integration
@pytest.mark.timeout(120 + 2 * MOMENTS * _PATIENCE_S)
@pytest.mark.parametrize(
    ("name", "signals"),
    [
        pytest.param(name, SIGNALS if MOMENTS > 1 else (SIGNALS[place % 2],), id=name)
        for place, name in enumerate(SERVING | WORKING)
    ],
)
def test_a_signal_ends_a_command_at_any_moment(
    rig: Rig, tmp_path: Path, name: str, signals: tuple[signal.Signals, ...]
) -> None:
    home, log = tmp_path / "home", tmp_path / "stderr"
    home.mkdir()
    environment = rig.environment(rig.settings) | {
        "SIMPERSONA_HOME": str(home),
        "SIMPERSONA_ID_KEY": "ab" * 32,
        "SIMPERSONA_API_PORT": "0",
        "SIMPERSONA_WEBHOOK_URL": "http://127.0.0.1:1/",
        "SIMPERSONA_WEBHOOK_DEAD_LETTERS_TOPIC": rig.settings.dead_letters_topic,
        "SIMPERSONA_WEBHOOK_SECRET": f"whsec_{'abcd' * 8}",
    }
    argv = [part.format(home=home) for part in (SERVING | WORKING)[name]]
    draw = random.Random(f"{SEED} {name}")
    for number in signals:
        for _ in range(MOMENTS):
            process = begun(argv, environment, log)
            moment = random_moment(draw, 0, 5)
            process.send_signal(number)
            status = ended(process)
            told = f"{number.name} after {moment:.2f} s: {status}\n{log.read_text()}"
            assert status == 128 + number or (status == 0 and name in SERVING), told
            assert "Traceback" not in told or "Exception ignored" in told, told
