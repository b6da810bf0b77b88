"""Run one server for as long as the process that started it lives; a script, never imported.

    python -I -S guard.py GRACE_SECONDS COMMAND...

The owner holds the other end of this script's stdin. However the owner ends, kill -9 included, the
kernel closes that pipe, and the server's whole process group is stopped: TERM, then KILL.
A parent-death signal (prctl) would be shorter, but it fires when the *thread* that forked ends, it
misses the server's own children (Triton's model stubs), and only Linux has it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def stop_with_owner(server: subprocess.Popen[bytes], grace: float) -> None:
    """Block until the owner is gone, then stop the server's process group."""
    os.read(0, 1)  # the owner never writes: this returns at its end
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(grace)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)


def main() -> int:
    """Start the command, print its pid on stdout, return its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # It ends with its server or its owner, by nothing else. A handler and not SIG_IGN, which the
        # server would inherit: Java would then not hear TERM.
        signal.signal(number, lambda *_: None)
    server = subprocess.Popen(
        sys.argv[2:], stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    print(server.pid, flush=True)
    watcher = threading.Thread(target=stop_with_owner, args=(server, float(sys.argv[1])), daemon=True)
    watcher.start()
    status = server.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)  # what the server left of its group
    return status


if __name__ == "__main__":
    sys.exit(main())
