"""Ctrl-C, SIGTERM and SIGHUP at any time: they end a command, however busy or deep in a library it is."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_EVERY_S: Final = 0.2


class Interrupted(SystemExit):
    """A signal ends the process; the exit status is 128 + its number.

    Not a KeyboardInterrupt: CPython notes one that leaves an exec() (dataclasses and named tuples are made
    by it, so any import may be in one), and then dies of SIGINT at its end, though it was caught.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = signal.Signals(number)


class Interrupts:
    """A handler of signals that raises Interrupted, and raises it again until it has arrived.

    An exception that a signal handler raises may get lost: Python only prints one that leaves a __del__ or a
    weakref's callback (imports run many), and some libraries swallow everything that goes wrong while they
    import what they can do without. So a thread looks whether the exception is still on its way up. And a
    library may turn it into an error of its own (onnxruntime: "ImportError: initialization failed"). So
    whatever error arrives after a signal is taken for it.
    """

    def __init__(self) -> None:
        self._over = False
        self.raised: Interrupted | None = None
        """What was raised last."""

    def ignore(self) -> None:
        """From now on the process ends by itself, soon: what is asked has been heard."""
        self._over = True

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self._over:
            return
        if self.raised is None:
            # Not threading.Thread, which takes locks that the interrupted code may hold.
            _thread.start_new_thread(self._insist, (number,))
        self.raised = Interrupted(number)
        raise self.raised

    def _insist(self, number: int) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while True:
            time.sleep(_LOOK_EVERY_S)
            if self._over:
                return
            if not self._on_its_way(main):
                signal.pthread_kill(main, number)
                if not isinstance(signal.getsignal(number), Interrupts):
                    return  # the command has a handler of its own by now, which has heard it

    def _on_its_way(self, main: int) -> bool:
        """Whether the main thread handles the exception: it cleans up, which must not be disturbed."""
        active: Any = sys._current_exceptions().get(main)
        if isinstance(active, tuple):  # Python 3.11
            active = active[1]
        while active is not None:
            if active is self.raised:
                return True
            active = active.__context__
        return False


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Take the signals that end a command, and give them back to their handlers before.

    SIGINT is taken even where it is ignored, as it is in what a script starts by `&`: some commands would
    hear it later on, when they have a handler of their own. An ignored SIGHUP stays ignored, as `nohup` asks.
    """
    taken = Interrupts()
    before: dict[signal.Signals, Any] = {}
    try:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if number != signal.SIGHUP or handler != signal.SIG_IGN:
                before[number] = handler
                signal.signal(number, taken)
        yield taken
    except Exception as error:
        if taken.raised is None:
            raise
        raise taken.raised from error
    finally:
        taken.ignore()
        for number, handler in before.items():
            signal.signal(number, handler)
