"""The address of the API, for one process or for several that share it."""

from __future__ import annotations

import socket
from typing import Final

from inference.errors import ApiStartError

LISTENS: Final = b"listens\n"
"""What one of several processes says to its parent on its standard output, again and again."""
LISTENS_EVERY_S: Final = 0.5


def shared_socket(host: str, port: int) -> socket.socket:
    """A socket bound to the address, at which other processes of this user may bind theirs (SO_REUSEPORT). It
    does not listen yet: as long as it does not, the kernel gives it no connection.

    Raises:
        ApiStartError: the address cannot be bound.
    """
    return _bound(host, port, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds the address for processes to come, at which nobody listens now.

    Raises:
        ApiStartError: the address is taken, if only by another API, or cannot be bound.
    """
    if port:
        _bound(host, port, socket.SO_REUSEADDR).close()  # fails where others share it among themselves
    return shared_socket(host, port)


def _bound(host: str, port: int, *options: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        for option in options:
            made.setsockopt(socket.SOL_SOCKET, option, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ApiStartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return made
