"""The catalogue for people: as tables in a terminal, and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from inference.bundles.bundle import Bundle
from inference.bundles.catalogue import Catalogue, CodeCard, Estimate, PersonaType, SessionShape
from inference.errors import CatalogueError
from inference.population import Mix

STRATUM_WORDS: Final = {"A": "buy", "B": "reach checkout", "C": "fill a cart", "D": "only look"}
_BAR: Final = 10
_TOP_CODES: Final = 12
_PAGE_HEAD: Final = """# Personas

The catalogue of the bundle that comes with the package (`{version}`), as `simpersona personas` prints it for
any bundle. All of it is made from training buyers: names by rule, sessions only in forms that at least five
buyers share. `>` means then; counts and pauses are ranges.
"""


def page(bundle: Bundle, mix: Mix | None, type_name: str | None, code: int | None) -> RenderableType:
    """What `simpersona personas` shows: all types, one type, or one code.

    Raises:
        CatalogueError: the bundle has no such type, or no card.
    """
    catalogue = bundle.catalogue
    if code is not None:
        return _card_page(catalogue, catalogue.require_card(code), mix)
    if type_name is not None:
        return _type_page(catalogue, catalogue.require_type(type_name), mix)
    if not catalogue.types:
        raise CatalogueError(f"bundle {bundle.codebook_version} was made without types; train a new one")
    return _types_table(catalogue, mix)


def as_json(bundle: Bundle, mix: Mix | None, type_name: str | None, code: int | None) -> dict[str, Any]:
    """The same as JSON: an entry of the catalogue or all of it, with the store's shares where asked for.

    Raises:
        CatalogueError: the bundle has no such type, or no card.
    """
    catalogue = bundle.catalogue
    answer: dict[str, Any] = {"codebook_version": bundle.codebook_version}
    if code is not None:
        answer |= msgspec.to_builtins(catalogue.require_card(code))
        codes = [code]
    elif type_name is not None:
        kind = catalogue.require_type(type_name)
        answer |= msgspec.to_builtins(kind)
        codes = list(kind.codes)
    else:
        answer |= msgspec.to_builtins(catalogue)
        codes = []
    if mix is not None:
        shares = [round(share, 6) for share in mix.shares.tolist()]
        answer["store"] = {"buyers": mix.buyers, "note": mix.note}
        answer["store"] |= {"share": round(sum(shares[k] for k in codes), 6)} if codes else {"codes": shares}
    return answer


def _types_table(catalogue: Catalogue, mix: Mix | None) -> RenderableType:
    """Every type with its share of all buyers, and of a store's where its mix is given."""
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("type", no_wrap=True, style="bold")
    table.add_column("buyers", justify="right", no_wrap=True)
    if mix is not None:
        table.add_column("store", justify="right", no_wrap=True)
    table.add_column("codes", justify="right", no_wrap=True)
    table.add_column("what they do", ratio=1)
    for kind in catalogue.types:
        row = [kind.name, _percent(kind.share)]
        if mix is not None:
            row.append(_percent(float(mix.shares[list(kind.codes)].sum())))
        table.add_row(*row, str(len(kind.codes)), kind.rule.partition(";")[0])
    return table


def _type_page(catalogue: Catalogue, kind: PersonaType, mix: Mix | None) -> RenderableType:
    """One type: what it is, and its most common codes."""
    lines: list[RenderableType] = [
        Text(f"{kind.title} ({kind.name})", style="bold"),
        Text(kind.description),
        *(Text(f"  {figure}") for figure in kind.rule.split("; ")),
        Text(""),
        Text(_shares(kind, mix)),
    ]
    cards = sorted((card for card in catalogue.codes if card.code in kind.codes), key=lambda c: -c.share)
    used = [card for card in cards if card.buyers]
    if used:
        lines += [Text(""), _codes_table(used[:_TOP_CODES])]
    if len(used) > _TOP_CODES:
        lines.append(Text(f"and {len(used) - _TOP_CODES} less common codes: --json shows all"))
    return Group(*lines)


def _shares(kind: PersonaType, mix: Mix | None) -> str:
    answer = f"{_percent(kind.share)} of all training buyers ({kind.buyers:,}), {len(kind.codes)} codes"
    if mix is None:
        return answer
    return f"{answer}; {_percent(float(mix.shares[list(kind.codes)].sum()))} of the store's"


def _codes_table(cards: list[CodeCard]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for name in ("code", "buyers", "carts", "buy"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("a typical session", ratio=1)
    for card in cards:
        table.add_row(
            str(card.code),
            _percent(card.share),
            _percent(_reached(card.funnel, "ABC")),
            _percent(_reached(card.funnel, "A")),
            "too few share one" if card.typical is None else str(card.typical),
        )
    return table


def _card_page(catalogue: Catalogue, card: CodeCard, mix: Mix | None) -> RenderableType:
    """One code."""
    kind = "no type" if card.type is None else card.type
    title = Text(f"{card.token}  {kind}", style="bold")
    if not card.funnel:
        return Group(title, Text(_without_buyers(card)))
    lines = [f"{_percent(card.share)} of all training buyers ({card.buyers:,})"]
    if mix is not None:
        lines[0] += f"; {_percent(float(mix.shares[card.code]))} of the store's"
    if card.status is not None:
        lines.append(f"{card.status}, against the codebook before")
    lines += ["", "Funnel: share of buyers, 95 % interval, all buyers"]
    for name, words in STRATUM_WORDS.items():
        own = card.funnel[name]
        interval = f"{_percent(own.low)} to {_percent(own.high)}"
        every = _percent(catalogue.funnel[name].share) if name in catalogue.funnel else ""
        lines.append(f"  {name} {words:15} {_percent(own.share):>6}  {interval:18}{every:>6}")
    lines += ["", "Place among all buyers (mean percentile)"]
    lines += [f"  {axis:12} {_bar(place)} {place:3}" for axis, place in card.axes.items()]
    lines += ["", "A typical session:  " + _session(card.typical)]
    lines += ["At its centre:      " + _session(card.prototype)]
    lines += ["", "Nearest codes: " + ", ".join(map(str, card.nearest))]
    return Group(title, *map(Text, lines))


def _without_buyers(card: CodeCard) -> str:
    if card.share > 0:
        return "This bundle was made without cards."
    return f"No training buyer has it. Nearest codes that have some: {', '.join(map(str, card.nearest))}."


def _session(shape: SessionShape | None) -> str:
    return "not shown: too few buyers share one" if shape is None else f"{shape} ({shape.buyers:,} buyers)"


def _bar(place: int) -> str:
    full = round(place / 100 * _BAR)
    return "#" * full + "." * (_BAR - full)


def _reached(funnel: Mapping[str, Estimate], strata: str) -> float:
    return sum(funnel[name].share for name in strata if name in funnel)


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def personas_page(bundle: Bundle) -> str:
    """docs/personas.md: the types of a bundle and their most common codes, as Markdown."""
    catalogue = bundle.catalogue
    lines = [_PAGE_HEAD.format(version=bundle.codebook_version)]
    if not catalogue.types:
        return "".join([*lines, "\nThis bundle was made without types and cards.\n"])
    lines.append(f"\n{catalogue.buyers:,} training buyers.\n\n## Types\n\n")
    lines.append("| type | buyers | codes | what they do |\n|---|---|---|---|\n")
    for kind in catalogue.types:
        words = kind.rule.partition(";")[0]
        lines.append(
            f"| [{kind.name}](#{kind.name}) | {_percent(kind.share)} | {len(kind.codes)} | {words} |\n"
        )
    for kind in catalogue.types:
        lines += _type_section(catalogue, kind)
    return "".join(lines)


def _type_section(catalogue: Catalogue, kind: PersonaType) -> list[str]:
    lines = [f"\n## {kind.name}\n\n{kind.description}\n"]
    lines += [f"\n- {figure}" for figure in kind.rule.split("; ")]
    lines.append("\n")
    cards = sorted((card for card in catalogue.codes if card.code in kind.codes), key=lambda c: -c.share)
    used = [card for card in cards if card.buyers]
    unused = len(cards) - len(used)
    if used:
        lines.append("\n| token | buyers | carts | buy | a typical session |\n|---|---|---|---|---|\n")
        for card in used[:_TOP_CODES]:
            typical = "too few share one" if card.typical is None else str(card.typical)
            carts, buy = _percent(_reached(card.funnel, "ABC")), _percent(_reached(card.funnel, "A"))
            token = card.token.replace("|", "\\|")
            lines.append(f"| `{token}` | {_percent(card.share)} | {carts} | {buy} | {typical} |\n")
    more = [f"{len(used) - _TOP_CODES} less common codes"] if len(used) > _TOP_CODES else []
    more += [f"{unused} that no training buyer has"] if unused else []
    if more:
        lines.append(f"\nAnd {' and '.join(more)}.\n")
    return lines
