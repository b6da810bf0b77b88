"""One connection to the online store that all requests of an event loop share.

A client that takes a connection from a pool for each command spends more on the pool than on the command.
Here the commands of all requests that come up in one turn of the loop are written together, and replies are
handed out in their order. So a request that asks twice before it waits makes one round trip.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Final, NamedTuple

import hiredis
import redis.asyncio
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as LateError

_TIMEOUT_S: Final = 2.0
_CHECK_S: Final = 0.25

Command = tuple[bytes | str | int | float, ...]
Replies = asyncio.Future[list[Any]]


class _Asked(NamedTuple):
    """Commands on their way: who waits for how many replies, until when (the loop's time)."""

    replies: Replies
    number: int
    until: float


class SharedStore(ABC):
    """Asks the store; of one event loop."""

    @abstractmethod
    def ask(self, *commands: Command) -> Replies:
        """Send commands at once; the future has a reply to each. It may be cancelled.

        Awaiting it raises RedisError: the store is away, or refuses one of these commands.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """End the connections, and all who still wait for them."""

    async def evalsha(self, sha: str, count: int, *arguments: str) -> Any:
        """Run a script that the store knows; `count` of the arguments are keys."""
        return (await self.ask(("EVALSHA", sha, count, *arguments)))[0]

    async def eval(self, script: str, count: int, *arguments: str) -> Any:
        """Run a script; `count` of the arguments are keys."""
        return (await self.ask(("EVAL", script, count, *arguments)))[0]

    async def get(self, key: str | bytes) -> Any:
        """A value, or None."""
        return (await self.ask(("GET", key)))[0]

    async def ping(self) -> None:
        """Ask for nothing."""
        await self.ask(("PING",))


class SharedConnection(SharedStore):
    """One server.

    Nothing waits for longer than two seconds: a server that hangs ends the connection and fails all who wait
    for it. The next question opens another one.
    """

    def __init__(self, pool: redis.asyncio.ConnectionPool) -> None:
        """`pool` makes the connections, which are few: it keeps none. Nothing is asked of the store yet."""
        self._pool = pool
        self._line: _Line | None = None

    def ask(self, *commands: Command) -> Replies:
        """See SharedStore.ask."""
        if self._line is None or self._line.ended:
            self._line = _Line(self._pool.make_connection())  # type: ignore[no-untyped-call]
        return self._line.ask(commands)

    async def aclose(self) -> None:
        """End the connection, and all who still wait for it."""
        if self._line is not None:
            await self._line.aclose()


class _Line:
    """A connection from its opening to its end."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []
        self._something = asyncio.Event()
        self._waiting: deque[_Asked] = deque()
        self._cause: Exception = LostError("the connection was closed")
        self.ended = False
        self._serving = self._loop.create_task(self._serve())

    def ask(self, commands: tuple[Command, ...]) -> Replies:
        """See SharedConnection.ask."""
        asked = _Asked(self._loop.create_future(), len(commands), self._loop.time() + _TIMEOUT_S)
        self._waiting.append(asked)
        self._unsent += [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]
        self._something.set()
        return asked.replies

    async def aclose(self) -> None:
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)

    async def _serve(self) -> None:
        self._check()
        writing = None
        try:
            await self._connection.connect()
            writing = self._loop.create_task(self._write())
            await self._read()
        except (RedisError, OSError) as error:
            self._cause = error
        finally:
            self.ended = True
            self._timer.cancel()
            if writing is not None:
                writing.cancel()
            for asked in self._waiting:
                _give(asked.replies, self._cause)
            self._waiting.clear()
            await self._connection.disconnect(nowait=True)

    async def _write(self) -> None:
        """Send what is there, all of it together. A connection that breaks ends the reader."""
        while await self._something.wait():
            self._something.clear()
            unsent, self._unsent = self._unsent, []
            await self._connection.send_packed_command(unsent, check_health=False)

    async def _read(self) -> None:
        found: list[Any] = []
        while True:
            try:
                found.append(await self._connection.read_response())
            except ResponseError as refusal:
                found.append(refusal)
            if len(found) == self._waiting[0].number:
                refused = (reply for reply in found if isinstance(reply, ResponseError))
                _give(self._waiting.popleft().replies, next(refused, found))
                found = []

    def _check(self) -> None:
        """End a connection on which somebody waits for too long."""
        if self._waiting and self._waiting[0].until < self._loop.time():
            self._cause = LateError(f"no answer for {_TIMEOUT_S:g} s")
            self._serving.cancel()
        else:
            self._timer = self._loop.call_later(_CHECK_S, self._check)


def _give(replies: Replies, found: list[Any] | Exception) -> None:
    if replies.done():  # who asked has gone
        return
    if isinstance(found, Exception):
        replies.set_exception(found)
        replies.exception()  # whoever asked may not look, and that is no fault
    else:
        replies.set_result(found)
