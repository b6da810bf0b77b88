"""Peak memory of `simpersona encode` over histories of more and more buyers.

    .venv/bin/python -m bench.memory [MILLIONS]...

The traffic of 50,000 generated buyers is copied under new names, mixed so that every copy's events lie all
over the file. Anonymous memory is what the process itself asked for, without files mapped into memory. A
million buyers are 9.8 million events, 190 MB of parquet, and 400 MB of shards for a while.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

import polars as pl
import psutil
import pyarrow.parquet as pq

from bench.document import table
from feature_store.sources.writer import EVENT_SCHEMA, write_events
from ops.traffic import TrafficConfig, generate

BUYERS: Final = 50_000
_ROWS: Final = 50_000
_POLL_S: Final = 0.2


def copies(base: Path, count: int, out: Path) -> int:
    """Write `count` copies of the events in base under different names; how many events."""
    events = pl.read_parquet(base)
    with pq.ParquetWriter(out, EVENT_SCHEMA, compression="zstd") as writer:
        for at in range(0, len(events), _ROWS):
            for copy in range(count):
                renamed = events[at : at + _ROWS].with_columns(
                    pl.col("buyer") + f"-{copy}", pl.col("event_id") + f"-{copy}"
                )
                writer.write_table(renamed.to_arrow().cast(EVENT_SCHEMA))
    return len(events) * count


def watched(command: list[str]) -> tuple[dict[str, int], float, float]:
    """Peaks (MB) of resident memory by kind, seconds and CPU seconds of a command."""
    started, most = time.perf_counter(), defaultdict[str, int](int)
    cpu = 0.0
    with psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in ("RssAnon", "RssFile", "VmHWM"):
                    most[name] = max(most[name], int(value.split()[0]) // 1024)
            spent = process.cpu_times()
            cpu = spent.user + spent.system
            time.sleep(_POLL_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return most, time.perf_counter() - started, cpu


def main() -> None:
    """Print a Markdown table, each row when it is known."""
    print(table(("buyers", "events", "peak RSS MB", "anonymous MB", "seconds", "CPU s"), []), flush=True)
    with tempfile.TemporaryDirectory(prefix="simpersona-memory-") as name:
        folder = Path(name)
        write_events(folder / "base.parquet", generate(TrafficConfig(buyers=BUYERS, stores=4), 1))
        for millions in [float(text) for text in sys.argv[1:]] or [0.2, 1.0]:
            count = max(1, round(millions * 1e6 / BUYERS))
            source, out = folder / "events.parquet", folder / "codes.parquet"
            events = copies(folder / "base.parquet", count, source)
            command = [sys.executable, "-m", "ops.cli.main", "encode", str(source), "--out", str(out)]
            most, seconds, cpu = watched(command)
            cells = (f"{most[kind]:,}" for kind in ("VmHWM", "RssAnon"))
            row = (f"{count * BUYERS:,}", f"{events:,}", *cells, f"{seconds:,.0f}", f"{cpu:,.0f}")
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
