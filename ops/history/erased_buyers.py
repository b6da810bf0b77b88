"""Who was erased, for commands that read history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from training.lifecycle.snapshot import VoidBefore


@contextmanager
def void_before(*, connected: bool) -> Iterator[VoidBefore]:
    """Ask the topic of erasures; without a connection, only the archive's own purges are known.

    Raises:
        OnlineStoreError, TopicError: a server does not answer.
    """
    if not connected:
        yield lambda _key: None
        return
    from ops.connection import connect

    with connect() as live:
        live.erasures.refresh()
        erased = live.erasures.by_key
        yield lambda key: erased[key].void_before if key in erased else None
