"""Tables in Markdown, and their places in a document."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, figures to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def put(document: Path, begin: str, end: str, content: str) -> None:
    """Replace what stands between two lines of a document."""
    before, _, rest = document.read_text().partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n{content}\n{end}{after}")


def machine() -> dict[str, str]:
    """What figures depend on, in words."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"Python {platform.python_version()}",
        "cores": f"{psutil.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    }
