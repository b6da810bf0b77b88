"""What a state remembers beyond its ring of ids: blocks of older event ids, and orders. Pages of one pool.

Most buyers need no page. A page has 64 words; a buyer's pages of one kind are a chain. All functions but
`make_room` are kernels. The laws that the memory serves: docs/concepts.md, "Sent again".
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_store.fold.kernel import Number, kernel

PAGE_WORDS: Final = 64
MAX_BLOCKS: Final = 40
"""Blocks of 64 event ids that a buyer has at most, beside the ring of the last 64."""
ENTRIES_PER_PAGE: Final = PAGE_WORDS // 2
MAX_ENTRIES: Final = 1024
"""Entries of the order memory that a buyer has at most: a word that names something, and an amount."""
PAGES_PER_EVENT: Final = 2
"""How many pages one event may need: one for a block of ids, one for its order."""
BLOCK_HEAD: Final = 0
BLOCKS: Final = 1
ENTRY_HEAD: Final = 2
ENTRIES: Final = 3
"""Columns of Memory.held."""
_FIRST_PAGES: Final = 64
_NEXT: Final = 0
_TIME: Final = 1
_FREE_HEAD: Final = 0
_UNUSED_FROM: Final = 1
_FREE: Final = 2


class Memory(NamedTuple):
    """The pages of n states. Page 0 is none.

    held int64 [n, 4]: first page of the blocks, number of blocks, first page of the orders, number of entries
    ever written. pages uint64 [p, 64]. links int64 [p, 2]: the next page of the chain, and of a block the
    latest event time in it (ms). pool int64 [3]: the first page given back, the first never used, and how
    many were given back.
    """

    held: NDArray[np.int64]
    pages: NDArray[np.uint64]
    links: NDArray[np.int64]
    pool: NDArray[np.int64]


def empty_memory(n: int) -> Memory:
    """The memory of n states without events."""
    return Memory(
        held=np.zeros((n, 4), dtype=np.int64),
        pages=np.zeros((_FIRST_PAGES, PAGE_WORDS), dtype=np.uint64),
        links=np.zeros((_FIRST_PAGES, 2), dtype=np.int64),
        pool=np.array([0, 1, 0], dtype=np.int64),
    )


def make_room(memory: Memory, pages: int = PAGES_PER_EVENT) -> None:
    """Let so many pages be free. In place, so that every holder of the arrays sees the larger ones.

    The arrays own their data, and no view of them outlives a call of this package, which is what
    `refcheck=False` asks for.
    """
    have = len(memory.pages)
    if has_room(memory, pages):
        return
    grown = have + max(have, pages)
    memory.pages.resize((grown, PAGE_WORDS), refcheck=False)
    memory.links.resize((grown, 2), refcheck=False)


@kernel
def has_room(memory: Memory, pages: int) -> bool:
    """Whether so many pages are free."""
    return bool(len(memory.pages) - memory.pool[_UNUSED_FROM] + memory.pool[_FREE] >= pages)


@kernel
def forget(memory: Memory, slots: NDArray[np.int64]) -> None:
    """Give all pages of these states back."""
    for slot in slots:
        for head in (BLOCK_HEAD, ENTRY_HEAD):
            page = memory.held[slot, head]
            while page != 0:
                following = memory.links[page, _NEXT]
                memory.links[page, _NEXT] = memory.pool[_FREE_HEAD]
                memory.pool[_FREE_HEAD] = page
                memory.pool[_FREE] += 1
                page = following
        memory.held[slot] = 0


@kernel
def _append_page(memory: Memory, slot: int, head: int) -> Number:
    """A page at the end of a chain; what is in it is of no meaning."""
    page = memory.pool[_FREE_HEAD]
    if page != 0:
        memory.pool[_FREE_HEAD] = memory.links[page, _NEXT]
        memory.pool[_FREE] -= 1
    else:
        page = memory.pool[_UNUSED_FROM]
        memory.pool[_UNUSED_FROM] += 1
    _link_last(memory, slot, head, page)
    return page


@kernel
def _link_last(memory: Memory, slot: int, head: int, page: Number) -> None:
    memory.links[page, _NEXT] = 0
    last = memory.held[slot, head]
    if last == 0:
        memory.held[slot, head] = page
        return
    while memory.links[last, _NEXT] != 0:
        last = memory.links[last, _NEXT]
    memory.links[last, _NEXT] = page


# ---- blocks of event ids


@kernel
def in_blocks(memory: Memory, slot: int, event_id: Number) -> bool:
    """Whether a block of the state holds this id."""
    page = memory.held[slot, BLOCK_HEAD]
    while page != 0:
        found = False
        ids = memory.pages[page]
        for i in range(PAGE_WORDS):  # without an early exit: compiled to vector instructions
            found |= ids[i] == event_id
        if found:
            return True
        page = memory.links[page, _NEXT]
    return False


@kernel
def add_block(memory: Memory, slot: int, ids: NDArray[np.uint64], time: Number) -> Number:
    """Remember 64 ids, the latest of whose events was at `time`, ms.

    Of more than MAX_BLOCKS, the one that ends first is forgotten. Returns its time, else 0.
    """
    forgotten = np.int64(0)
    if memory.held[slot, BLOCKS] == MAX_BLOCKS:
        before, oldest = _oldest_block(memory, slot)
        forgotten = memory.links[oldest, _TIME]
        if time <= forgotten:
            return np.int64(time)
        following = memory.links[oldest, _NEXT]
        if before == 0:
            memory.held[slot, BLOCK_HEAD] = following
        else:
            memory.links[before, _NEXT] = following
        page = oldest
        _link_last(memory, slot, BLOCK_HEAD, page)
    else:
        page = _append_page(memory, slot, BLOCK_HEAD)
        memory.held[slot, BLOCKS] += 1
    memory.pages[page] = ids
    memory.links[page, _TIME] = time
    return forgotten


@kernel
def _oldest_block(memory: Memory, slot: int) -> tuple[Number, Number]:
    """(the page before it, the page) of the block that ends first; of equals the one made first."""
    oldest = memory.held[slot, BLOCK_HEAD]
    before_oldest, before = np.int64(0), oldest
    page = memory.links[oldest, _NEXT]
    while page != 0:
        if memory.links[page, _TIME] < memory.links[oldest, _TIME]:
            before_oldest, oldest = before, page
        before = page
        page = memory.links[page, _NEXT]
    return before_oldest, oldest


# ---- entries of the order memory


@kernel
def find_entry(memory: Memory, slot: int, word: Number) -> Number:
    """Where the entry with this word is: page * 64 + its place in the page. -1: nowhere."""
    left = min(memory.held[slot, ENTRIES], MAX_ENTRIES)
    page = memory.held[slot, ENTRY_HEAD]
    while page != 0:
        for i in range(min(left, ENTRIES_PER_PAGE)):
            if memory.pages[page, 2 * i] == word:
                return page * PAGE_WORDS + 2 * i
        left -= ENTRIES_PER_PAGE
        page = memory.links[page, _NEXT]
    return -1


@kernel
def amount_at(memory: Memory, place: Number) -> Number:
    """The amount of an entry that find_entry found; 0 for -1."""
    if place < 0:
        return np.int64(0)
    return np.int64(memory.pages[place // PAGE_WORDS, place % PAGE_WORDS + 1])


@kernel
def write_entry(memory: Memory, slot: int, place: Number, word: Number, amount: Number) -> None:
    """Write over the entry that find_entry found; -1: a new one, in place of the oldest of MAX_ENTRIES."""
    if place < 0:
        number = memory.held[slot, ENTRIES] % MAX_ENTRIES
        if memory.held[slot, ENTRIES] < MAX_ENTRIES and number % ENTRIES_PER_PAGE == 0:
            page = _append_page(memory, slot, ENTRY_HEAD)
        else:
            page = memory.held[slot, ENTRY_HEAD]
            for _ in range(number // ENTRIES_PER_PAGE):
                page = memory.links[page, _NEXT]
        memory.held[slot, ENTRIES] += 1
        place = page * PAGE_WORDS + 2 * (number % ENTRIES_PER_PAGE)
    memory.pages[place // PAGE_WORDS, place % PAGE_WORDS] = word
    memory.pages[place // PAGE_WORDS, place % PAGE_WORDS + 1] = np.uint64(amount)


# ---- as words of a stored row


@kernel
def words_of(memory: Memory, slot: int) -> Number:
    """How many words `write_words` needs, 0 where nothing is held."""
    return memory.held[slot, BLOCKS] * (PAGE_WORDS + 1) + 2 * min(memory.held[slot, ENTRIES], MAX_ENTRIES)


@kernel
def write_words(memory: Memory, slot: int, out: NDArray[np.uint64]) -> None:
    """The blocks, each its time and 64 ids, then the entries; out uint64 [words_of]."""
    at = 0
    page = memory.held[slot, BLOCK_HEAD]
    while page != 0:
        out[at] = np.uint64(memory.links[page, _TIME])
        out[at + 1 : at + 1 + PAGE_WORDS] = memory.pages[page]
        at += PAGE_WORDS + 1
        page = memory.links[page, _NEXT]
    page = memory.held[slot, ENTRY_HEAD]
    while page != 0:
        part = min(PAGE_WORDS, len(out) - at)
        out[at : at + part] = memory.pages[page, :part]
        at += part
        page = memory.links[page, _NEXT]


def read_words(memory: Memory, slot: int, blocks: int, entries: int, words: NDArray[np.uint64]) -> None:
    """Take back what write_words wrote, into a state that holds nothing."""
    held = min(entries, MAX_ENTRIES)
    make_room(memory, blocks + held // ENTRIES_PER_PAGE + 1)
    _read_words(memory, slot, blocks, held, words)
    memory.held[slot, ENTRIES] = entries


@kernel
def _read_words(memory: Memory, slot: int, blocks: int, entries: int, words: NDArray[np.uint64]) -> None:
    for b in range(blocks):
        at = b * (PAGE_WORDS + 1)
        add_block(memory, slot, words[at + 1 : at + 1 + PAGE_WORDS], np.int64(words[at]))
    for e in range(entries):
        at = blocks * (PAGE_WORDS + 1) + 2 * e
        write_entry(memory, slot, -1, words[at], np.int64(words[at + 1]))
