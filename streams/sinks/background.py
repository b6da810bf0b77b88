"""A call in a thread of its own: if it never returns, neither its caller nor the process has to wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_background(call: Callable[[], T]) -> Future[T]:
    """Begin a call; its result, or what it raised, is the future's. The thread ends with the process."""
    future = Future[T]()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # the caller's, whatever it is
            future.set_exception(error)

    Thread(target=run, name="simpersona-call", daemon=True).start()
    return future
