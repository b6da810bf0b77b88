"""History larger than memory: events are split by buyer into shards on disk, and folded shard by shard.

    <folder>/0017/events     RECORD rows in the order of arrival
    <folder>/0017/buyers     one JSON line [store, buyer] a buyer; a record names its line
    <folder>/products.*      the product rows that records point at, one file a field of ProductArrays

One pass over the events keeps only what the fold reads of each (37 bytes). All events of a buyer are in one
shard, in order, so a shard is an independent task; the kernel of the live path folds it. Inside a shard the
events are sorted by buyer, so that only a few thousand states are in memory at a time (docs/adr/0020).

A history that is small enough is one shard that never touches the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from feature_store.contract.events import Event, record_key
from feature_store.fold.behavior import (
    ALLOWED_LATENESS_MS,
    NO_LIMIT,
    EventColumns,
    StateArrays,
    columns,
    empty_states,
    fold,
)
from feature_store.fold.products import ProductArrays, Products, ProductTable
from feature_store.fold.vectors import vectors
from feature_store.history.offline_fold import BuyerKey

SHARDS: Final = 256
"""Enough for 250 million buyers, a million a shard; few enough to write to all of them in turn."""
GROUP_BUYERS: Final = 4_096
"""Buyers folded at a time: 9 MB of states, which a core's own cache nearly holds."""

RECORD: Final = np.dtype(
    [
        ("buyer", "<u4"),
        ("type", "u1"),
        ("time", "<i8"),
        ("event_id", "<u8"),
        ("product", "<u4"),
        ("value", "<f8"),
        ("quantity", "<i4"),
        ("order", "<u8"),
        ("line", "<u8"),
    ]
)

_FIRST_RECORDS: Final = 65_536

_encode_lines = msgspec.json.Encoder().encode_lines
_decode_lines = msgspec.json.Decoder(BuyerKey).decode_lines


class Limits(NamedTuple):
    """How much is kept in memory before it is written to disk."""

    events: int = 2_000_000  # 106 MB of records
    buyers: int = 200_000  # 50 MB of names
    products: int = 200_000  # 30 MB of product rows


LIMITS: Final = Limits()


class Shard(NamedTuple):
    """All events of some buyers, buyer by buyer, each buyer's in the order of arrival.

    The events of buyers[i] are rows starts[i] to starts[i + 1] of events; starts int64 [n + 1]. Buyers stand
    in the order of first arrival.
    """

    buyers: list[BuyerKey]
    starts: NDArray[np.int64]
    events: EventColumns
    products: Products


class _StoredProducts(NamedTuple):
    """Products that an earlier pass wrote."""

    arrays: ProductArrays


class Folded(NamedTuple):
    """Buyers and their states, row for row."""

    buyers: list[BuyerKey]
    states: StateArrays

    def vectors(self) -> NDArray[np.float32]:
        """Raw vectors float32 [n, W]."""
        return vectors(self.states, np.arange(len(self.buyers)))


class Shards:
    """The shards of one history. Iteration reads them one by one; a shard may have no buyers."""

    def __init__(self, paths: Sequence[Path], held: Shard | None, events: int) -> None:
        """Either `paths` or one shard that is `held`; events: how many were read."""
        self.paths = paths
        self.events = events
        self._held = held

    def __len__(self) -> int:
        return len(self.paths) or 1

    def count_buyers(self) -> int:
        """How many buyers there are; reads the names of all shards."""
        return (
            sum(len(set(_read_names(path))) for path in self.paths)
            if self._held is None
            else len(self._held.buyers)
        )

    def __iter__(self) -> Iterator[Shard]:
        if self._held is not None:
            yield self._held
        for path in self.paths:
            yield read_shard(path)


def shard_events(
    batches: Iterable[Sequence[Event]],
    folder: Path | None,
    *,
    shards: int = SHARDS,
    limits: Limits = LIMITS,
) -> Shards:
    """Split a history, given in arrival order, by buyer.

    `folder` is made where the limits are passed; None holds everything in memory, however much it is.

    Raises:
        OSError: the disk is full, or `folder` cannot be written.
    """
    writer = _Writer(folder, shards, limits)
    for batch in batches:
        writer.add(batch)
    return writer.finish()


def read_shard(path: Path) -> Shard:
    """A shard that `shard_events` wrote; `path` is its folder.

    Raises:
        OSError: it cannot be read.
    """
    names = _read_names(path)
    # Names in memory are dropped after each write, so a buyer may have two lines.
    slots: dict[BuyerKey, int] = {}
    slot_of = np.fromiter((slots.setdefault(name, len(slots)) for name in names), np.int64, len(names))
    records = np.fromfile(path / "events", RECORD)
    return _by_buyer(
        list(slots), slot_of[records["buyer"]], records, _StoredProducts(_read_products(path.parent))
    )


def _read_names(path: Path) -> list[BuyerKey]:
    return _decode_lines((path / "buyers").read_bytes())


class Group(NamedTuple):
    """Some buyers of a shard: buyers[i]'s events are those whose slot (int64 [m]) is i."""

    buyers: list[BuyerKey]
    slots: NDArray[np.int64]
    events: EventColumns


def groups(shard: Shard) -> Iterator[Group]:
    """A shard's buyers in groups of some thousand, each buyer with all their events."""
    for first in range(0, len(shard.buyers), GROUP_BUYERS):
        buyers = shard.buyers[first : first + GROUP_BUYERS]
        edges = shard.starts[first : first + len(buyers) + 1]
        slots = np.repeat(np.arange(len(buyers)), np.diff(edges))
        yield Group(buyers, slots, EventColumns._make(c[edges[0] : edges[-1]] for c in shard.events))


def fold_shard(
    shard: Shard, *, prefix: int | None = None, allowed_lateness_ms: int = ALLOWED_LATENESS_MS
) -> Iterator[Folded]:
    """Fold a shard, some thousand buyers at a time; with `prefix`, only each buyer's first so many events."""
    for group in groups(shard):
        states = empty_states(len(group.buyers))
        fold(
            states,
            group.slots,
            group.events,
            shard.products,
            allowed_lateness_ms=allowed_lateness_ms,
            max_events=NO_LIMIT if prefix is None else prefix,
        )
        yield Folded(group.buyers, states)


def fold_shards(shards: Iterable[Shard], *, prefix: int | None = None) -> Iterator[Folded]:
    """Fold shard after shard; see fold_shard."""
    for shard in shards:
        yield from fold_shard(shard, prefix=prefix)


class _Writer:
    """Holds the records of the latest batches; writes them all to their shards when there are too many."""

    def __init__(self, folder: Path | None, shards: int, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._paths = [folder / f"{number:04d}" for number in range(shards)] if folder else []
        self._events = 0
        self._slots: dict[BuyerKey, int] = {}
        # One buffer: many small arrays are scattered over the heap, which then grows with the history.
        self._buffer = np.empty(_FIRST_RECORDS, RECORD)
        self._held = 0  # records of the buffer that are in use
        self._lines = np.zeros(shards, dtype=np.int64)  # names written to each shard
        self._products = ProductTable()
        self._products_before = 0  # rows of tables that were full and are forgotten
        self._products_written = 0  # rows of the present table that are on disk

    def add(self, events: Sequence[Event]) -> None:
        slots = self._slots
        records = self._room(len(events))
        records["buyer"] = [slots.setdefault((event.store, event.buyer), len(slots)) for event in events]
        for name, column in columns(events, self._products)._asdict().items():
            records[name] = column
        records["product"] += self._products_before
        limits = self._limits
        if self._folder and (
            self._held > limits.events or len(slots) > limits.buyers or len(self._products) > limits.products
        ):
            self._spill(self._folder)

    def finish(self) -> Shards:
        if self._folder and self._lines.any():
            self._spill(self._folder)
            return Shards(self._paths, None, self._events)
        records = self._take()
        held = _by_buyer(list(self._slots), records["buyer"], records, self._products)
        return Shards([], held, self._events)

    def _room(self, count: int) -> NDArray[np.void]:
        """The next `count` records of the buffer, to be filled."""
        if self._held + count > len(self._buffer):
            grown = np.empty(max(2 * len(self._buffer), self._held + count), RECORD)
            grown[: self._held] = self._buffer[: self._held]
            self._buffer = grown
        self._held += count
        return self._buffer[self._held - count : self._held]

    def _take(self) -> NDArray[np.void]:
        """The records held; valid until the next `add`."""
        records = self._buffer[: self._held]
        self._events += self._held
        self._held = 0
        return records

    def _spill(self, folder: Path) -> None:
        if not self._lines.any():
            for path in self._paths:
                path.mkdir(parents=True)
        shard, line = self._spill_names()
        records = self._take()
        to = shard[records["buyer"]]
        records["buyer"] = line[records["buyer"]]
        order = np.argsort(to, kind="stable")
        for path, part in zip(self._paths, np.split(order, self._ends(to)), strict=True):
            _append(path / "events", records[part].tobytes())
        self._spill_products(folder)

    def _spill_names(self) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
        """Write the names held and forget them; returns where each went: shard [n] and line there [n]."""
        names, self._slots = list(self._slots), {}
        hashes = np.fromiter((xxhash.xxh3_64_intdigest(record_key(*n)) for n in names), np.uint64, len(names))
        shard = (hashes % np.uint64(len(self._paths))).astype(np.uint16)
        line = np.empty(len(names), np.uint32)
        for at, part in enumerate(np.split(np.argsort(shard, kind="stable"), self._ends(shard))):
            line[part] = self._lines[at] + np.arange(len(part))
            self._lines[at] += len(part)
            _append(self._paths[at] / "buyers", _encode_lines([names[i] for i in part.tolist()]))
        return shard, line

    def _spill_products(self, folder: Path) -> None:
        for name, rows in self._products.arrays._asdict().items():
            new = rows[self._products_written : len(self._products)]
            _append(folder / f"products.{name}", new.tobytes())
        self._products_written = len(self._products)
        if len(self._products) > self._limits.products:
            self._products_before += len(self._products)
            self._products, self._products_written = ProductTable(), 0

    def _ends(self, shard: NDArray[np.uint16]) -> NDArray[np.int64]:
        """Where, in the order of shards, one ends and the next begins: int64 [shards - 1]."""
        return np.cumsum(np.bincount(shard, minlength=len(self._paths)))[:-1]


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def _read_products(folder: Path) -> ProductArrays:
    """The product rows, mapped into memory: a shard's kernel touches those it needs."""
    like = ProductTable().arrays._asdict()
    mapped = {}
    for name, example in like.items():
        # Copy-on-write, because the kernel is compiled for arrays that can be written.
        flat = np.memmap(folder / f"products.{name}", example.dtype, mode="c")
        mapped[name] = np.asarray(flat).reshape(-1, *example.shape[1:])
    return ProductArrays(**mapped)


def _by_buyer(
    buyers: list[BuyerKey], buyer: NDArray[np.integer], records: NDArray[np.void], products: Products
) -> Shard:
    """Bring records (n of them, in the order of arrival; buyer [n], places in buyers) together by buyer."""
    order = np.argsort(buyer, kind="stable")
    starts = np.zeros(len(buyers) + 1, dtype=np.int64)
    np.cumsum(np.bincount(buyer, minlength=len(buyers)), out=starts[1:])
    like = columns([], ProductTable())._asdict()
    events = {name: records[name][order].astype(column.dtype) for name, column in like.items()}
    return Shard(buyers, starts, EventColumns(**events), products)
