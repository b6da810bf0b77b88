"""Progress bars of long offline commands, on stderr, with the time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from feature_store.contract.events import Event
from feature_store.contract.identity import Identity
from feature_store.sources.choice import NOTHING_SAID, SourceChoice
from ops.history.files import PLAIN_IDS, history_batches


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Bars while the block runs; a terminal sees them move, a log file gets the last look."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeLeftColumn(),
        console=Console(file=sys.stderr),
    ) as bars:
        yield bars


def read_with_bar(
    path: Path, bars: Progress, source: SourceChoice = NOTHING_SAID, identity: Identity = PLAIN_IDS
) -> Iterator[list[Event]]:
    """history_batches of files or an archive folder, and a bar of how much was read."""
    bar = bars.add_task(f"reading {path.name}", total=1.0)
    yield from history_batches(path, source, lambda share: bars.update(bar, completed=share), identity)
    bars.update(bar, completed=1.0)
