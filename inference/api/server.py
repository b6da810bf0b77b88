"""Serves the app with uvicorn, in this process: TLS, signals, a graceful end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, Final, cast

import structlog
import uvicorn
from fastapi import FastAPI

from inference.api.app import create_app
from inference.api.bounds.connections import BoundedConnection, ConnectionBounds
from inference.api.installation import Installation
from inference.api.listening import LISTENS, LISTENS_EVERY_S, shared_socket
from inference.api.memory import bound_arenas
from inference.api.settings import ApiSettings
from inference.errors import ApiStartError

log = structlog.get_logger(__name__)

_SWITCH_S: Final = 0.0005
"""A thread that computes gives the interpreter up after so long: the event loop needs it several times for
an answer, and Python's 5 ms would be waited for each time."""
_CATCHES_UP_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.02
_STDIN, _STDOUT = 0, 1


class _Server(uvicorn.Server):
    """Opens and closes the app itself: uvicorn would log what keeps the app from opening and exit, as it does
    where it cannot bind, so that nobody could tell the two apart."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app, self._opened = app, AsyncExitStack()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End streams at the first signal: uvicorn would wait for them until its patience ends."""
        state: Any = getattr(self._app.state, "api", None)
        if state is not None:
            state.hub.close()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals from here on; uvicorn raises them again after a clean end, which is no failure."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: Any = None) -> None:
        await self._opened.enter_async_context(self._app.router.lifespan_context(self._app))
        await self._before_listening()
        try:
            await super().startup(sockets=sockets)
        except SystemExit:  # uvicorn's way to say that it could not bind
            await self._opened.aclose()
            raise ApiStartError(f"cannot listen on {self.config.host}:{self.config.port}") from None
        for server in self.servers:
            for socket in server.sockets:
                log.info("api_listens", host=socket.getsockname()[0], port=socket.getsockname()[1])

    async def _before_listening(self) -> None:
        """The app is open."""

    async def shutdown(self, sockets: Any = None) -> None:
        await super().shutdown(sockets=sockets)
        if not self.force_exit:
            await self._opened.aclose()


class _OneOfSeveral(_Server):
    """Listens beside others once it answers as they do; ends with its parent (inference.api.processes)."""

    async def startup(self, sockets: Any = None) -> None:
        asyncio.get_running_loop().add_reader(_STDIN, self._parent_ended)
        await super().startup(sockets=sockets)
        os.set_blocking(_STDOUT, False)  # a parent that is stopped must not stop this process
        self._say_that_it_listens()

    def _say_that_it_listens(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(_STDOUT, LISTENS)
        asyncio.get_running_loop().call_later(LISTENS_EVERY_S, self._say_that_it_listens)

    async def _before_listening(self) -> None:
        caught_up = self._app.state.api.tail.caught_up
        until = time.monotonic() + _CATCHES_UP_S  # where Kafka is away, /readyz has to say so
        while not (caught_up.is_set() or self.should_exit or time.monotonic() > until):
            await asyncio.sleep(_LOOK_EVERY_S)

    def _parent_ended(self) -> None:
        if not os.read(_STDIN, 1):
            asyncio.get_running_loop().remove_reader(_STDIN)
            self.handle_exit(signal.SIGTERM, None)


def run_api(installation: Installation, settings: ApiSettings, *, is_one_of_several: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; answers that are under way are finished, events acknowledged.

    is_one_of_several: share the port with others, and end when standard input does.

    Raises:
        ApiStartError: it cannot listen there, or not with that certificate.
        BundleError, IdentityKeyError: it cannot serve, and why.
    """
    bound_arenas()
    app = create_app(installation, settings)
    bounds = ConnectionBounds(settings.connections, settings.header_s, settings.write_s)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=int(settings.grace_s),
        timeout_keep_alive=settings.idle_s,
        http=cast("type[asyncio.Protocol]", partial(BoundedConnection, bounds)),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here depends on who a client says it is
        ws="none",
    )
    try:
        config.load()
    except OSError as error:  # the only files that it reads
        raise ApiStartError(
            f"cannot serve TLS with {settings.tls_certificate} and {settings.tls_key}: {error}"
        ) from None
    sys.setswitchinterval(_SWITCH_S)
    if is_one_of_several:
        _OneOfSeveral(app, config).run([shared_socket(settings.host, settings.port)])
    else:
        _Server(app, config).run()
