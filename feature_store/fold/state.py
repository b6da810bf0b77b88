"""BuyerState rows: arrays <-> bytes in one canonical form.

A packed state holds the counters, the bitmaps, the hashes of the last event ids (at most 64), the last acts
(at most 16), the memory of older ids and of orders where there is one, and the sums of the product sets that
are not empty. Equal states have equal bytes, so `simpersona verify` compares bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_store.errors import RowVersionError
from feature_store.fold.acts import LATEST, SESSION_COUNTERS, held
from feature_store.fold.behavior import BITMAP_WORDS, COUNTER, N_COUNTERS, REMEMBERED_IDS, StateArrays
from feature_store.fold.kernel import kernel
from feature_store.fold.memory import (
    BLOCKS,
    ENTRIES,
    MAX_BLOCKS,
    MAX_ENTRIES,
    PAGE_WORDS,
    read_words,
    words_of,
    write_words,
)
from feature_store.fold.vector import EMBEDDING_SIZE, PRODUCT_SETS

FOLD_VERSION: Final = 2
"""Changes when the same events fold into another state; a stored row names the one that began its state."""
_EVENTS: Final = COUNTER["events"]
_POOLED: Final = COUNTER["viewed"]
_BLOCK_TIME: Final = COUNTER["block_time"]
_FORGOTTEN: Final = COUNTER["forgotten_until"]
_SESSION: Final = COUNTER[SESSION_COUNTERS[0]]
_N_SETS: Final = len(PRODUCT_SETS)
_HELD: Final = N_COUNTERS + BITMAP_WORDS
"""The word that says how much follows: blocks of the memory in its low 16 bits, then 40 bits of entries ever
written, then 8 bits of acts."""
_ACTS_AT: Final = 56
_ENTRIES_MASK: Final = (1 << 40) - 1
_FIXED: Final = 8 * (_HELD + 1)
_SET_BYTES: Final = 4 * EMBEDDING_SIZE
_MOST_MEMORY: Final = MAX_BLOCKS * (PAGE_WORDS + 1) + 2 * MAX_ENTRIES
MAX_STATE_BYTES: Final = _FIXED + 8 * (REMEMBERED_IDS + LATEST + _MOST_MEMORY) + _N_SETS * _SET_BYTES


@kernel
def _row_sizes(states: StateArrays, slots: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    end = 0
    for i in range(len(slots)):
        counters = states.counters[slots[i]]
        words = min(counters[_EVENTS], REMEMBERED_IDS) + held(states.latest[slots[i]])
        end += _FIXED + 8 * (words + words_of(states.memory, slots[i]))
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
        acts, remembered = held(states.latest[slot]), words_of(states.memory, slot)
        size = _FIXED + 8 * (kept + acts + remembered)
        words = out[at : at + size].view(np.int64)
        words[:N_COUNTERS] = counters
        words[N_COUNTERS:_HELD] = states.bitmaps[slot].view(np.int64)
        words[_HELD] = (
            states.memory.held[slot, BLOCKS] | states.memory.held[slot, ENTRIES] << 16 | acts << _ACTS_AT
        )
        words[_HELD + 1 : _HELD + 1 + kept] = states.ring[slot].view(np.int64)[:kept]
        words[_HELD + 1 + kept : _HELD + 1 + kept + acts] = states.latest[slot, :acts]
        if remembered > 0:
            write_words(states.memory, slot, words[_HELD + 1 + kept + acts :].view(np.uint64))
        at += size
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


def as_fold_1(state: bytes) -> bytes:
    """A packed state without what fold 1 did not keep: the memory, the times of its blocks, the present
    session and the last acts.

    Raises:
        RowVersionError: it is shorter than a state.
    """
    words = _fixed_words(state).copy()
    kept = 8 * max(min(int(words[_EVENTS]), REMEMBERED_IDS), 0)
    acts, memory = _acts_and_memory(int(words[_HELD]))
    words[[_BLOCK_TIME, _FORGOTTEN, _HELD]] = 0
    words[_SESSION : _SESSION + len(SESSION_COUNTERS)] = 0
    return words.tobytes() + state[_FIXED : _FIXED + kept] + state[_FIXED + kept + 8 * (acts + memory) :]


def _fixed_words(state: bytes) -> NDArray[np.int64]:
    if len(state) < _FIXED:
        raise RowVersionError(f"a state row has {len(state)} bytes, at least {_FIXED} were expected")
    return np.frombuffer(state, dtype="<i8", count=_FIXED // 8)


def _acts_and_memory(held: int) -> tuple[int, int]:
    """Words of last acts and of the memory, by the word that says how much follows."""
    entries = held >> 16 & _ENTRIES_MASK
    return held >> _ACTS_AT, (held & 0xFFFF) * (PAGE_WORDS + 1) + 2 * min(entries, MAX_ENTRIES)


def unpack_states(states: StateArrays, slots: NDArray[np.int64], rows: Sequence[bytes]) -> None:
    """Write packed rows back into states, in place; the rows' slots must be empty states.

    Raises:
        RowVersionError: a row's length does not fit its own counters.
    """
    for slot, row in zip(slots.tolist(), rows, strict=True):
        words = _fixed_words(row)
        counters, sizes = words[:N_COUNTERS], int(words[_HELD])
        kept, blocks = min(int(counters[_EVENTS]), REMEMBERED_IDS), sizes & 0xFFFF
        acts, remembered = _acts_and_memory(sizes)
        pooled = np.flatnonzero(counters[_POOLED : _POOLED + _N_SETS])
        follow = kept + acts + remembered
        sized = _FIXED + 8 * follow + _SET_BYTES * len(pooled)
        if kept < 0 or not 0 <= acts <= LATEST or blocks > MAX_BLOCKS or len(row) != sized:
            raise RowVersionError(f"a state row of {len(row)} bytes does not fit its own counters")
        states.counters[slot] = counters
        states.bitmaps[slot] = words[N_COUNTERS:_HELD].view(np.uint64)
        rest = np.frombuffer(row, dtype="<u8", count=follow, offset=_FIXED)
        states.ring[slot, :kept] = rest[:kept]
        states.latest[slot, :acts] = rest[kept : kept + acts]
        if remembered:
            entries = sizes >> 16 & _ENTRIES_MASK
            read_words(states.memory, slot, blocks, entries, rest[kept + acts :])
        sums = np.frombuffer(row, dtype="<i4", offset=_FIXED + 8 * follow)
        states.sums[slot, pooled] = sums.reshape(-1, EMBEDDING_SIZE)
