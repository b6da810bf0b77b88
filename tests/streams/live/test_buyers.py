"""What the cache takes from the store: everything but what an erasure has made void."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from feature_store.contract.erasure import Erasure
from feature_store.fold.state import pack_states
from feature_store.fold.table import StateTable
from feature_store.online.encoding import RowHeader, pack_row
from streams.live.buyers import Buyers
from streams.live.cache import BuyerCache
from streams.live.pending import PendingErasures

BEFORE_THE_TOPIC = -1
"""since_offset of a row that `simpersona backfill` wrote."""


def state_row(since_offset: int) -> bytes:
    table: StateTable[bytes] = StateTable(1)
    table.states.counters[table.add(b"any")] = 7
    header = RowHeader(since_offset=since_offset, last_offset=9, code=17, type=-1, band=0, version=5)
    return pack_row(header, pack_states(table.states, np.array([0]))[0])


@pytest.mark.parametrize(
    ("key", "since_offset", "kept"),
    [
        (b"acme|erased", 5, False),
        (b"acme|erased", BEFORE_THE_TOPIC, False),
        (b"acme|erased", 20, True),
        (b"acme|other", 5, True),
        (b"acme|other", BEFORE_THE_TOPIC, True),
    ],
)
def test_a_row_is_void_only_if_it_is_of_who_was_erased_and_from_before(
    key: bytes, since_offset: int, kept: bool
) -> None:
    topic: Any = Mock()
    pending = PendingErasures(topic, dict)
    pending.add(b"acme|erased", Erasure(partition=3, before_offset=20, requested_at=1))
    cache = BuyerCache(1 << 24, slack=1)
    Buyers(cache, Mock(), pending, Mock()).take(3, [(key, state_row(since_offset))])
    slot = cache._table.slots[key]
    assert bool(cache._table.states.counters[slot].any()) is kept
    assert int(cache._meta.sent[slot, 0]) == (17 if kept else -1)
