"""Results, a line each in a file: a run that was stopped goes on, seed by seed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.reliability.trial import Result


class Results:
    """The file of results, docs/reliability.jsonl: the last line of a fault and seed counts."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_bytes().splitlines() if file.exists() else []
        found = (msgspec.json.decode(line, type=Result) for line in lines)
        self._of = {(result.fault, result.seed): result for result in found}

    def has(self, fault: str, seed: int) -> bool:
        """Whether this seed was lived through, and nothing was wrong."""
        return (fault, seed) in self._of and self._of[fault, seed].is_right

    def add(self, result: Result) -> None:
        """Keep a result at once."""
        self._of[result.fault, result.seed] = result
        with self._file.open("ab") as lines:
            lines.write(msgspec.json.encode(result) + b"\n")

    def of(self, fault: str) -> list[Result]:
        """The results of a fault, by seed."""
        return [result for (name, _), result in sorted(self._of.items()) if name == fault]
