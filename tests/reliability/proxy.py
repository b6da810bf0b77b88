"""A small TCP proxy between a worker and a server: it can cut the network, or leave it half open."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from typing import Final

_CHUNK: Final = 1 << 16
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER 0: closing sends RST


class Proxy:
    """Listens on 127.0.0.1:`port`, forwards to 127.0.0.1:`target`. Set `target` before the first client."""

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._deaf: set[socket.socket] = set()
        self._cut = self._half_open = False
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        with self._lock:
            self._cut = True
            for one in list(self._pairs):
                self._reset(one)

    def leave_half_open(self) -> None:
        """Swallow what is sent: open connections never answer again, new ones neither until `heal`."""
        with self._lock:
            self._half_open = True
            self._deaf |= set(self._pairs)

    def heal(self) -> None:
        """New connections work; those that were half open stay dead, and nobody tells their ends."""
        with self._lock:
            self._cut = self._half_open = False

    def close(self) -> None:
        """End the thread and every connection."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as self._selector, self._listener:
            self._selector.register(self._listener, selectors.EVENT_READ)
            while not self._ending.is_set():
                for key, _ in self._selector.select(0.1):
                    with self._lock:
                        if key.fileobj is self._listener:
                            self._accept()
                        elif key.fileobj in self._pairs:
                            assert isinstance(key.fileobj, socket.socket)
                            self._forward(key.fileobj)
            for one in list(self._pairs):
                self._reset(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._cut:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=1)
        except OSError:
            client.close()
            return
        server.settimeout(60)
        client.settimeout(60)
        self._pairs |= {client: server, server: client}
        if self._half_open:
            self._deaf |= {client, server}
        for one in (client, server):
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        try:
            data = source.recv(_CHUNK)
            if source in self._deaf:
                if not data:  # its end gave up; the other end is not told
                    self._forget(source)
                return
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass
        self._reset(source)

    def _forget(self, one: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(one)
        one.close()

    def _reset(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        for each in (one, other):
            if each is not None:
                self._pairs.pop(each, None)
                self._deaf.discard(each)
                with contextlib.suppress(OSError):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._forget(each)
