"""An order is counted once and whole: what its number, its lines and its refunds do to a state.

The order memory has entries (feature_store.fold.memory): a word, 61 bits of hash and 3 of kind, and an amount
in minor units. Of an order there is one entry with what it is worth, one of its refunds if there are any, and
one for each line that came by itself. An order adds max(0, worth - refunds) to `order_value`, whatever came
first. The rules in words: docs/concepts.md, "Orders".
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xxhash

from feature_store.fold.kernel import Number, kernel
from feature_store.fold.memory import Memory, amount_at, find_entry, write_entry

UNKNOWN: Final = -1
"""The worth of an event that names no amount."""
SUM_LIMIT: Final = 2**61
"""Where sums of money stop to grow (minor units), so that none can overflow an int64."""
SEEN: Final = -1
FIRST: Final = 1
MORE: Final = 2
"""Outcomes: seen before, so nothing changed; the order's first event; one that adds to a known order."""
_KIND_BITS: Final = 3
_WHOLE: Final = np.uint64(1)
_IN_LINES: Final = np.uint64(2)
_LINE: Final = np.uint64(3)
_REFUND: Final = np.uint64(4)


def order_key(order: str) -> int:
    """61 bits that name an order, in the high bits of 64; never 0."""
    return _key(order.encode())


def line_key(order: str, line: str) -> int:
    """61 bits that name a line of an order, in the high bits of 64; never 0."""
    return _key(f"{order}\0{line}".encode())


def _key(name: bytes) -> int:
    hashed = int(xxhash.xxh3_64_intdigest(name)) >> _KIND_BITS
    return (hashed or 1) << _KIND_BITS


@kernel
def fold_purchase(
    memory: Memory, slot: int, order: Number, line: Number, worth: Number
) -> tuple[int, Number]:
    """Take a purchase that names its order; line 0: the event is the whole order.

    worth: minor units or UNKNOWN. Returns the outcome, and what order_value changes by. A whole order takes
    the place of its lines. A whole order without a worth is like a line of its own: lines may still come.
    """
    if find_entry(memory, slot, order | _WHOLE) >= 0:
        return SEEN, np.int64(0)
    is_whole = line == 0 and worth != UNKNOWN
    line_word = (order if line == 0 else line) | _LINE
    if not is_whole and find_entry(memory, slot, line_word) >= 0:
        return SEEN, np.int64(0)
    refunded = amount_at(memory, find_entry(memory, slot, order | _REFUND))
    place = find_entry(memory, slot, order | _IN_LINES)
    before = amount_at(memory, place)
    after = worth if is_whole else min(before + max(worth, 0), SUM_LIMIT)
    write_entry(memory, slot, place, order | (_WHOLE if is_whole else _IN_LINES), after)
    if not is_whole:
        write_entry(memory, slot, -1, line_word, worth)
    return (FIRST if place < 0 else MORE), _net(after, refunded) - _net(before, refunded)


@kernel
def fold_refund(memory: Memory, slot: int, order: Number, amount: Number) -> Number:
    """Take a refund of an order; UNKNOWN: all of it. Returns what order_value changes by."""
    place = find_entry(memory, slot, order | _REFUND)
    before = amount_at(memory, place)
    after = SUM_LIMIT if amount == UNKNOWN else min(before + amount, SUM_LIMIT)
    write_entry(memory, slot, place, order | _REFUND, after)
    worth_at = find_entry(memory, slot, order | _WHOLE)
    if worth_at < 0:
        worth_at = find_entry(memory, slot, order | _IN_LINES)
    worth = amount_at(memory, worth_at)
    return _net(worth, after) - _net(worth, before)


@kernel
def _net(worth: Number, refunded: Number) -> Number:
    return max(worth - refunded, 0)
