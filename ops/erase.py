"""Request the erasure of a buyer, and wait until the workers have passed the request."""

from __future__ import annotations

import time

from feature_store.contract.erasure import Erasure, ErasureRequest
from feature_store.contract.events import record_key
from ops.connection import Connection
from ops.errors import ErasureError

_POLL_S = 0.2


def request_erasure(live: Connection, store: str, buyer: str, timeout_s: float) -> Erasure:
    """Erase a buyer by their pseudonymised id; returns what was recorded.

    Raises:
        ProducerError: Kafka did not take the request.
        ErasureError: no worker has passed the request in time. It stays in the log and will be carried out.
    """
    key, asked = record_key(store, buyer), ErasureRequest(requested_at=time.time_ns() // 1_000_000)
    erasure = live.erasure_writer().ask({key: asked}).get(key)
    deadline, folded = time.monotonic() + timeout_s, 0
    while time.monotonic() < deadline:
        live.erasures.refresh()
        known = live.erasures.by_key.get(key)
        if known is not None and known.requested_at >= asked.requested_at:
            erasure = known
        if erasure is not None:
            progress = live.rows.progress(erasure.partition)
            folded = 0 if progress is None else progress.next_offset
            if folded >= erasure.before_offset:
                return erasure
        time.sleep(_POLL_S)
    how_far = (
        ""
        if erasure is None
        else f": partition {erasure.partition} is folded up to offset {folded} of {erasure.before_offset}"
    )
    raise ErasureError(
        f"the workers have not reached the request within {timeout_s:g} s{how_far}; it is kept and will be "
        "carried out: is a worker running?"
    )
