"""Print docs/ingest-cases.md: `python -m tests.feature_store.sources.ingest_cases.table`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from tests.feature_store.sources.ingest_cases.cases import Case, differences, load_cases
from tests.feature_store.sources.ingest_cases.doors import RECEIVED_MS, take

_HEAD = """# What shops really send

Payloads of public bug reports, exports and data sets, what their senders expect, and what comes out. Made by
`python -m tests.feature_store.sources.ingest_cases.table`; the inputs and the test are in
`tests/feature_store/sources/ingest_cases`.

"""


def outcome(case: Case) -> list[str]:
    """What is not as expected."""
    with tempfile.TemporaryDirectory() as folder:
        if case.room != "http":
            return differences(case, take(case, Path(folder)))
        with patch.object(time, "time_ns", lambda: RECEIVED_MS * 1_000_000):
            return differences(case, take(case, Path(folder)))


def main() -> None:
    """Print the page."""
    outcomes = [(case, outcome(case)) for case in load_cases()]
    right = sum(not found for _, found in outcomes)
    print(f"{_HEAD}{right} of {len(outcomes)} come out as expected.\n")
    print("| case | source | expected | got |\n|---|---|---|---|")
    for case, found in outcomes:
        got = "as expected" if not found else _cell("; ".join(found)[:200])
        print(f"| {case.number} | {_cell(case.source)} | {_cell(case.expected)} | {got} |")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    main()
