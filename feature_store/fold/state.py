"""BuyerState rows: arrays <-> bytes in one canonical form.

A packed state holds the counters, the bitmaps, the buyer's event-id hashes (at most 64) and the sums of the
product sets that are not empty. Equal states have equal bytes, so `simpersona verify` compares bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_store.errors import RowVersionError
from feature_store.fold.behavior import BITMAP_WORDS, COUNTER, N_COUNTERS, REMEMBERED_IDS, StateArrays
from feature_store.fold.kernel import kernel
from feature_store.fold.vector import EMBEDDING_SIZE, PRODUCT_SETS

FOLD_VERSION: Final = 1
"""Changes when the same events fold into another state; a stored row names the one that began its state."""
_EVENTS: Final = COUNTER["events"]
_POOLED: Final = COUNTER["viewed"]
_N_SETS: Final = len(PRODUCT_SETS)
_FIXED: Final = 8 * (N_COUNTERS + BITMAP_WORDS)
_SET_BYTES: Final = 4 * EMBEDDING_SIZE
MAX_STATE_BYTES: Final = _FIXED + 8 * REMEMBERED_IDS + _N_SETS * _SET_BYTES


@kernel
def _row_sizes(states: StateArrays, slots: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    end = 0
    for i in range(len(slots)):
        counters = states.counters[slots[i]]
        end += _FIXED + 8 * min(counters[_EVENTS], REMEMBERED_IDS)
        for which in range(_N_SETS):
            if counters[_POOLED + which] > 0:
                end += _SET_BYTES
        ends[i] = end


@kernel
def _pack(states: StateArrays, slots: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    at = 0
    for i in range(len(slots)):
        slot = slots[i]
        counters = states.counters[slot]
        kept = min(counters[_EVENTS], REMEMBERED_IDS)
        words = out[at : at + _FIXED + 8 * kept].view(np.int64)
        words[:N_COUNTERS] = counters
        words[N_COUNTERS : N_COUNTERS + BITMAP_WORDS] = states.bitmaps[slot].view(np.int64)
        words[N_COUNTERS + BITMAP_WORDS :] = states.ring[slot].view(np.int64)[:kept]
        at += _FIXED + 8 * kept
        for which in range(_N_SETS):
            if counters[_POOLED + which] > 0:
                out[at : at + _SET_BYTES].view(np.int32)[:] = states.sums[slot, which]
                at += _SET_BYTES


def pack_states(states: StateArrays, slots: NDArray[np.int64]) -> list[bytes]:
    """The rows `slots` (int64 [n]) as canonical little-endian bytes, in their order."""
    ends = np.empty(len(slots), dtype=np.int64)
    _row_sizes(states, slots, ends)
    out = np.empty(int(ends[-1]) if len(slots) else 0, dtype=np.uint8)
    _pack(states, slots, out)
    whole = out.tobytes()
    limits = [0, *ends.tolist()]
    return [whole[limits[i] : limits[i + 1]] for i in range(len(slots))]


def unpack_states(states: StateArrays, slots: NDArray[np.int64], rows: Sequence[bytes]) -> None:
    """Write packed rows back into states, in place; the rows' slots must be empty states.

    Raises:
        RowVersionError: a row's length does not fit its own counters.
    """
    for slot, row in zip(slots.tolist(), rows, strict=True):
        if len(row) < _FIXED:
            raise RowVersionError(f"a state row has {len(row)} bytes, at least {_FIXED} were expected")
        words = np.frombuffer(row, dtype="<i8", count=_FIXED // 8)
        counters = words[:N_COUNTERS]
        kept = min(int(counters[_EVENTS]), REMEMBERED_IDS)
        pooled = np.flatnonzero(counters[_POOLED : _POOLED + _N_SETS])
        if kept < 0 or len(row) != _FIXED + 8 * kept + _SET_BYTES * len(pooled):
            raise RowVersionError(f"a state row of {len(row)} bytes does not fit its own counters")
        states.counters[slot] = counters
        states.bitmaps[slot] = words[N_COUNTERS:].view(np.uint64)
        states.ring[slot, :kept] = np.frombuffer(row, dtype="<u8", count=kept, offset=_FIXED)
        sums = np.frombuffer(row, dtype="<i4", offset=_FIXED + 8 * kept)
        states.sums[slot, pooled] = sums.reshape(-1, EMBEDDING_SIZE)
