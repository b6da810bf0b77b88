"""The files that a study reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from feature_store.contract.events import Event
from feature_store.sources.choice import NOTHING_SAID, SourceChoice
from ops.history.files import history_batches
from training.encoder.dataset import describe_source


class Histories:
    """Files of events, read as often as a study needs, and counted."""

    def __init__(self, paths: Sequence[Path], source: SourceChoice = NOTHING_SAID) -> None:
        """`source` says what the files do not say themselves."""
        self._source = source
        self.paths = paths
        self._counts = [0] * len(paths)

    def events(self) -> Iterator[list[Event]]:
        """The events of all files, in their order.

        Raises:
            EventSourceError: a file cannot be read.
        """
        for index, path in enumerate(self.paths):
            self._counts[index] = 0
            for batch in history_batches(path, self._source):
                self._counts[index] += len(batch)
                yield batch

    def described(self) -> list[str]:
        """One line per file: its name, the events last read of it, its hash."""
        return [describe_source(path, count) for path, count in zip(self.paths, self._counts, strict=True)]
