"""Serves the app with uvicorn: TLS, signals, a graceful end."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

import structlog
import uvicorn

from feature_store.identity import load_id_key
from inference.api.app import create_app
from inference.api.installation import Installation
from inference.api.settings import ApiSettings
from inference.errors import ApiStartError

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """Ends streams at the first signal: uvicorn would wait for them until its patience ends."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        state: Any = getattr(self.config.app.state, "api", None)  # type: ignore[union-attr]
        if state is not None:
            state.hub.close()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        for server in self.servers:
            for socket in server.sockets:
                log.info("api_listens", host=socket.getsockname()[0], port=socket.getsockname()[1])


def run_api(installation: Installation, settings: ApiSettings) -> None:
    """Serve until SIGTERM or SIGINT; answers that are under way are finished, events acknowledged.

    Raises:
        ApiStartError: it cannot listen there.
        BundleError, IdentityKeyError: it cannot serve, and why.
    """
    load_id_key(installation.home)  # before the server, which would say it in a traceback
    config = uvicorn.Config(
        create_app(installation, settings),
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=int(settings.grace_s),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
    )
    server = _Server(config)
    # uvicorn raises the signal again after a clean end, which is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that it could not bind
        raise ApiStartError(f"cannot listen on {settings.host}:{settings.port}") from None
    if not server.started:
        sys.exit(1)
