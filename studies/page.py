"""What the pages of the studies share: their JSON, the head of a table, the formulas of measures."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from feature_store.workspace import write_whole


def write_figures(figures: Mapping[str, Any], path: Path) -> None:
    """The figures of a page as JSON; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(figures, indent=1) + "\n").encode())


def header(*columns: str) -> str:
    """The first two lines of a table."""
    return f"| {' | '.join(columns)} |\n" + "|---" * len(columns) + "|"


def formulas(measures: Iterable[Callable[..., Any]]) -> Iterator[str]:
    """How each measure is computed, by its docstring."""
    yield "## The measures\n"
    for measure in measures:
        text = inspect.getdoc(measure) or ""
        yield f"**{measure.__name__}**\n\n{textwrap.indent(text, '    ')}\n"
