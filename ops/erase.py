"""Ask the workers to erase a buyer, and wait until the owner of the partition has done it."""

from __future__ import annotations

import time

from feature_store.contract.erasure import Erasure
from feature_store.contract.events import record_key
from feature_store.log.producer import Output
from ops.connect import Connection
from ops.errors import ErasureError
from streams.control import Erase, encode_command

_POLL_S = 0.2


def request_erasure(live: Connection, store: str, buyer: str, timeout_s: float) -> Erasure:
    """Erase a buyer by their pseudonymised id; returns what was recorded.

    Raises:
        ErasureError: no worker answered in time. The request stays on the control topic and is honoured
            by the next worker that starts.
    """
    requested_at = time.time_ns() // 1_000_000
    output = Output(live.kafka, timeout_s)
    output.send(
        live.settings.control_topic,
        None,
        encode_command(Erase(store=store, buyer=buyer, requested_at=requested_at)),
    )
    output.flush()
    key, deadline = record_key(store, buyer), time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        live.erasures.refresh()
        done = live.erasures.by_key.get(key)
        if done is not None and done.requested_at >= requested_at:
            return done
        time.sleep(_POLL_S)
    raise ErasureError(
        f"no worker has erased the buyer within {timeout_s:g} s; the request is kept and will be honoured: "
        "is a worker running?"
    )
