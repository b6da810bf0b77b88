"""What it costs to put an event aside on disk and to take it up again, by form; and the fold on either side.

    .venv/bin/python -m bench.shards

Microseconds of CPU per event, the faster of two rounds. NDJSON and Arrow IPC give events back, from which the
fold's columns are still to be taken (`columns()`, bench.fold); records are those columns.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa

from bench.document import table
from feature_store.contract.events import Event, encode_event
from feature_store.history.offline_fold import fold_history, warm_up
from feature_store.history.shards import Limits, Shards, fold_shards, shard_events
from feature_store.sources.writer import EVENT_SCHEMA
from ops.traffic import TrafficConfig, generate

SHARDS: Final = 64
_LIMITS: Final = Limits(events=100_000)


def ndjson(batches: Sequence[list[Event]], folder: Path) -> Iterator[None]:
    files = [(folder / str(number)).open("ab") for number in range(SHARDS)]
    for batch in batches:
        for event in batch:
            files[hash((event.store, event.buyer)) % SHARDS].write(encode_event(event) + b"\n")
    for file in files:
        file.close()
    yield
    decode = msgspec.json.Decoder(Event).decode_lines
    for number in range(SHARDS):
        decode((folder / str(number)).read_bytes())


def arrow(batches: Sequence[list[Event]], folder: Path) -> Iterator[None]:
    names = EVENT_SCHEMA.names
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(str(folder / "events"), "wb") as file,
        pa.ipc.new_stream(file, EVENT_SCHEMA, options=options) as writer,
    ):
        for batch in batches:
            columns = [[getattr(event, name) for event in batch] for name in names]
            writer.write_table(pa.table(columns, schema=EVENT_SCHEMA))
    yield
    with pa.ipc.open_stream(pa.memory_map(str(folder / "events"))) as reader:
        for batch in reader:
            rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            msgspec.convert([dict(zip(names, row, strict=True)) for row in rows], list[Event])


def records(batches: Sequence[list[Event]], folder: Path) -> Iterator[None]:
    shards = shard_events(batches, folder / "shards", shards=SHARDS, limits=_LIMITS)
    yield
    for _ in shards:
        pass


def cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def drain(shards: Shards) -> None:
    for group in fold_shards(shards):
        group.vectors()


def _drain_from(folder: Path, batches: Sequence[list[Event]]) -> None:
    drain(shard_events(batches, folder, shards=SHARDS, limits=_LIMITS))


def main() -> None:
    """Print two Markdown tables."""
    warm_up()
    batches = list(generate(TrafficConfig(buyers=20_000), seed=1))
    events = sum(map(len, batches))
    forms = {
        "NDJSON, one file a shard": ndjson,
        "Arrow IPC, lz4": arrow,
        "records (feature_store.history.shards)": records,
    }
    best = dict.fromkeys(forms, (9.0, 9.0, 0.0))
    folds: list[tuple[float, float, float]] = []
    for _ in range(2):
        for name, form in forms.items():
            with tempfile.TemporaryDirectory() as folder:
                steps = form(batches, Path(folder))
                write, read = cpu(partial(next, steps)), cpu(partial(next, steps, None))
                size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
                best[name] = min(best[name], (write, read, float(size)))
        with tempfile.TemporaryDirectory() as folder:
            disk = Path(folder) / "shards"
            folds.append(
                (
                    cpu(lambda: fold_history(batches).vectors()),
                    cpu(lambda: drain(shard_events(batches, None))),
                    cpu(partial(_drain_from, disk, batches)),
                )
            )
    rows = [
        (name, *(f"{1e6 * s / events:.2f}" for s in b[:2]), f"{b[2] / events:.0f}")
        for name, b in best.items()
    ]
    print(f"{events:,} events, 20,000 buyers\n")
    print(table(("form", "us to write", "us to read", "bytes"), rows))
    names = ("one fold (History)", "shards in memory", "shards on disk")
    cells = [f"{1e6 * min(times) / events:.2f}" for times in zip(*folds, strict=True)]
    print("\n" + table(("events to vectors", "us per event"), list(zip(names, cells, strict=True))))


if __name__ == "__main__":
    main()
