"""Threads for work that would hold up the event loop, shared fairly: stores take turns, none has all of
them."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from inference.api.problems import ProblemError

P = ParamSpec("P")
T = TypeVar("T")


class Turns:
    """Runs calls in a few threads. Of the event loop's thread.

    A store has at most `per_store` of them at once. Others of its calls wait, `waiting` at most, and stores
    that wait take turns, whatever each has waiting.
    """

    def __init__(self, name: str, *, threads: int, per_store: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._free, self._per_store, self._most_waiting = threads, per_store, waiting
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def run(self, store: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call when it is the store's turn.

        A thread counts as taken until the call ends, also when nobody waits for it any more: calls that
        hang because a server does are so never more than the store's share.

        Raises:
            ProblemError: 429, the store has too many calls waiting.
        """
        await self._turn(store)
        loop = asyncio.get_running_loop()
        running = self._pool.submit(call, *args, **kwargs)
        running.add_done_callback(lambda _: _on_loop(loop, self._ended, store))
        return await asyncio.wrap_future(running)

    async def _turn(self, store: str) -> None:
        queue = self._waiting.get(store, ())
        if len(queue) >= self._most_waiting:
            raise ProblemError(429, "busy", "this store keeps this process busy; wait", retry_after_s=1)
        if not queue and self._may_start(store):
            self._start(store)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(store, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._ended(store)
            raise

    def _may_start(self, store: str) -> bool:
        return self._free > 0 and self._running[store] < self._per_store

    def _start(self, store: str) -> None:
        self._free -= 1
        self._running[store] += 1

    def _ended(self, store: str) -> None:
        self._free += 1
        self._running[store] -= 1
        if not self._running[store]:
            del self._running[store]
        for waiting in list(self._waiting):
            if self._may_start(waiting) and (turn := self._next(waiting)):
                self._start(waiting)
                turn.set_result(None)

    def _next(self, store: str) -> asyncio.Future[None] | None:
        """The store's first call that still waits; the store goes to the end of the line."""
        queue = self._waiting.pop(store)
        turn = None
        while queue and (turn is None or turn.done()):
            turn = queue.popleft()
        if queue:
            self._waiting[store] = queue
        return None if turn is None or turn.done() else turn

    def close(self) -> None:
        """End the threads; a call that hangs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[str], Any], store: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, store)
