"""What counting for drift costs a worker, on one core: the whole of it, one batch at a time.

    .venv/bin/python -m bench.counting [EVENTS]

Timed is what streams.live.tagger.Tagger adds to a batch: noting the buyers before the fold, stores' numbers,
watermarks, the counts, and packing the rows for a checkpoint every 10 batches. The fastest of ROUNDS counts.
"""

from __future__ import annotations

import sys
import time
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from feature_store.contract.events import record_key
from feature_store.fold.behavior import ALLOWED_LATENESS_MS, columns
from feature_store.fold.products import ProductTable
from feature_store.fold.vectors import fold_each
from feature_store.online.encoding import Tagged
from feature_store.online.rows import OnlineRows, Owned
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.counts.counting import Arrivals
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder
from inference.encoders.onnx import OnnxEncoder
from ops.replay.events import first_events
from ops.traffic import TrafficConfig, generate
from streams.live.cache import BuyerCache
from streams.live.partition import Partition
from streams.live.window_counts import WindowCounts

ROUNDS: Final = 5
PARTITIONS: Final = 8
_CHECKPOINT_EVERY: Final = 10
_VERSION: Final = np.uint32(1)


class _NothingStored:
    """A store that holds no window yet."""

    def read_windows(self, *_: object) -> dict[int, list[tuple[bytes, bytes]]]:
        return {}


class Cost(NamedTuple):
    """Microseconds of CPU per event: fold and encode for comparison, and counting."""

    fold: float
    encode: float
    counting: float


def run(events: int, batch: int, stores: int, encoder: Encoder) -> Cost:
    """Go through generated traffic once, as a worker does."""
    config = TrafficConfig(buyers=100_000, stores=stores)
    cache, products = BuyerCache(1 << 29, slack=5_000), ProductTable()
    nothing = cast(OnlineRows, _NothingStored())  # of the store only what counting asks for
    counts = WindowCounts(WindowSettings(), ALLOWED_LATENESS_MS, nothing, "bench")
    tagged = Tagged("bench", all_of_them=True)
    owned = {number: Partition.at(number, Owned(None, tagged, 0), tagged) for number in range(PARTITIONS)}
    spent = np.zeros(3)
    done = 0
    for number, chunk in enumerate(first_events(generate(config, 7, batch_events=batch), events)):
        slots = np.array([_slot(cache, e.store, e.buyer) for e in chunk], np.int64)
        table = columns(chunk, products)
        clock = [time.thread_time()]
        names = counts.number_of([event.store for event in chunk])
        partition = cache.partitions(slots)
        arrivals = Arrivals(slots, table.time, table.time, table.type, names, partition)
        begun = counts.begin(owned, cache, _VERSION, arrivals)
        clock.append(time.thread_time())
        steps = fold_each(cache.states, slots, table, products)
        clock.append(time.thread_time())
        encoding = encoder.encode(steps.vectors)
        clock.append(time.thread_time())
        changed = slots[steps.places]
        found = cache.assign(changed, encoding, steps.session_events, _VERSION)
        counts.count(begun, steps, encoding, found.sent)
        _advance(owned, partition, table.time)
        if number % _CHECKPOINT_EVERY == 0:
            for part in owned.values():
                counts.dirty(part.number)
                counts.written(part.number, part.watermark)
        clock.append(time.thread_time())
        before, fold, encode, after = np.diff(clock)
        spent += (fold, encode, before + after)
        done += len(chunk)
    return Cost(*(spent / done * 1e6).tolist())


def _slot(cache: BuyerCache, store: str, buyer: str) -> int:
    key = record_key(store, buyer)
    slot = cache.slots.get(key)
    return cache.add(key, hash(key) % PARTITIONS) if slot is None else slot


def _advance(owned: dict[int, Partition], partition: NDArray[np.int64], times: NDArray[np.int64]) -> None:
    for number in np.unique(partition).tolist():
        owned[number].watermark = max(owned[number].watermark, int(times[partition == number].max()))


def main() -> None:
    """Print a Markdown table of microseconds per event."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    encoder = OnnxEncoder(load_bundle(starter_bundle_path()))
    print(f"{events:,} events, {PARTITIONS} partitions, best of {ROUNDS}; us of CPU per event\n")
    print("| batch | stores | fold_each | encode | counting |\n|---:|---:|---:|---:|---:|")
    for batch, stores in ((4_000, 4), (4_000, 100), (250, 4)):
        trials = [run(events, batch, stores, encoder) for _ in range(ROUNDS)]
        best = Cost(*(min(column) for column in zip(*trials, strict=True)))
        print(f"| {batch:,} | {stores} | {best.fold:.2f} | {best.encode:.2f} | {best.counting:.2f} |")


if __name__ == "__main__":
    main()
