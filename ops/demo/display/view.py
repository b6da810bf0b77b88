"""The live view: what a person sees of the demo, as one rich renderable of constant height."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from ops.demo.display.shown_shoppers import Shopper

ROWS: Final = 12
"""Shoppers on the screen; with title, figures and heads the view fits 24 lines."""
_BUYER_DIGITS: Final = 8
_COLUMNS: Final[tuple[tuple[str, int, JustifyMethod], ...]] = (
    # name, width at 80 columns
    ("store", 12, "left"),
    ("shopper", 8, "left"),
    ("funnel", 11, "left"),
    ("code", 4, "right"),
    ("token", 15, "left"),
    ("conf.", 5, "right"),
    ("events", 6, "right"),
    ("reason", 11, "left"),
)
_STAGE_STYLES: Final = {"A": "green", "B": "cyan", "C": "yellow", "D": "bright_black"}


@dataclass(frozen=True)
class Snapshot:
    """The state of the demo at a moment. What is not known yet is None.

    sent, tagged: events. lag: events not yet folded. p50_ms, p99_ms: from CreateTime to the tag.
    """

    seconds: float
    sent: int
    tagged: int
    events_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    lag: int | None
    assignments: int
    buyers: int
    dead_letters: int
    worker: str
    restarts: int
    encoder: str
    shoppers: list[Shopper] = field(default_factory=list)
    fresh: frozenset[int] = frozenset()


def latency(p50_ms: float | None, p99_ms: float | None) -> str:
    """Both quantiles, in ms."""
    return "-" if p50_ms is None or p99_ms is None else f"{p50_ms:,.0f} / {p99_ms:,.0f} ms"


def plain_line(s: Snapshot) -> str:
    """The figures as one line, for a log."""
    return (
        f"{s.tagged:,} of {s.sent:,} events, {s.events_per_s:,.0f}/s, {s.buyers:,} shoppers, "
        f"{s.assignments:,} assignments, p50/p99 {latency(s.p50_ms, s.p99_ms)}, "
        f"lag {'-' if s.lag is None else format(s.lag, ',')}, worker {s.worker}{_restarts(s)}"
    )


def render(s: Snapshot) -> RenderableType:
    """Title, figures and the table of shoppers: always the same number of lines."""
    return Group(_title(s), _figures(s), _shoppers(s))


def _title(s: Snapshot) -> RenderableType:
    title = Table.grid(expand=True)
    title.add_column(no_wrap=True)
    title.add_column(no_wrap=True, justify="right")
    left = Text.assemble(("simpersona", "bold"), (" live", "bold green"), f" {s.seconds:,.0f} s")
    worker_style = "green" if s.worker.startswith("running") else "bold red"
    right = Text.assemble("worker ", (s.worker, worker_style), (_restarts(s), "yellow"), f"  {s.encoder}")
    title.add_row(left, right)
    return title


def _restarts(s: Snapshot) -> str:
    return f", {s.restarts} restart{'s' * (s.restarts != 1)}" if s.restarts else ""


def _figures(s: Snapshot) -> RenderableType:
    figures = Table(box=box.ROUNDED, expand=True, padding=(0, 1), border_style="bright_black")
    values = (
        ("events/s", f"{s.events_per_s:,.0f}"),
        ("tagged", f"{s.tagged:,}"),
        ("shoppers", f"{s.buyers:,}"),
        ("assigned", f"{s.assignments:,}"),
        ("p50 / p99", latency(s.p50_ms, s.p99_ms)),
        ("lag", "-" if s.lag is None else f"{s.lag:,}"),
        ("refused", f"{s.dead_letters:,}"),
    )
    for name, _ in values:
        figures.add_column(name, justify="right", no_wrap=True, header_style="bright_black")
    figures.add_row(*(Text(value, style="bold") for _, value in values))
    return figures


def _shoppers(s: Snapshot) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=0, pad_edge=False, show_edge=False)
    for name, width, justify in _COLUMNS:
        table.add_column(
            name, min_width=width, justify=justify, no_wrap=True, header_style="bright_black", ratio=width
        )
    for i in range(ROWS):
        if i >= len(s.shoppers):
            table.add_row()
            continue
        shopper = s.shoppers[i]
        a = shopper.assignment
        table.add_row(
            a.store,
            Text(a.buyer[:_BUYER_DIGITS], style="bright_black"),
            Text(shopper.stage, style=_STAGE_STYLES.get(shopper.stage[:1], "")),
            f"{a.code}",
            Text(a.token, style="bold magenta" if i in s.fresh else "magenta"),
            "-" if a.confidence is None else f"{a.confidence:.2f}",
            f"{a.events:,}",
            Text(a.reason, style="bold" if i in s.fresh else ""),
        )
    return table
