"""The README's picture of the demo: python -m ops.demo.display.picture

Runs the real demo for a few seconds and draws docs/demo.svg from the view as it stood late in that run.
"""

from __future__ import annotations

import io
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType

from ops.demo.display.view import render
from ops.demo.run import DemoOptions, run_demo

PICTURE: Final = Path(__file__).parents[3] / "docs" / "demo.svg"
_WIDTH: Final = 100
_SECONDS: Final = 15.0
_MOMENT: Final = 0.8
"""Share of the frames that came before the one drawn."""


def main() -> None:
    """Record a run and draw one of its frames."""
    frames: list[RenderableType] = []
    run_demo(
        DemoOptions(seconds=_SECONDS),
        nullcontext(lambda snapshot: frames.append(render(snapshot))),
        Console(),
        lambda line: print(line, file=sys.stderr),
    )
    PICTURE.write_text(draw(frames[int(_MOMENT * len(frames))]))


def draw(frame: RenderableType) -> str:
    """A frame as SVG that loads nothing: rich's own template fetches its font."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(frame)
    svg = console.export_svg(title="simpersona demo", unique_id="demo")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
