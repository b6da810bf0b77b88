"""Makes the generated documents: settings, commands, features, event schema (`make docs`).

A test holds the committed files against these functions, so a setting or command that is not
documented fails it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from feature_store.contract.events import json_schema
from feature_store.fold.vector import (
    EMBEDDING_SIZE,
    GAPS,
    KINDS,
    LATEST_ACTS,
    PRODUCT_SETS,
    SCALARS,
    SESSION,
    SESSION_SCALARS,
    VECTOR_SIZE,
)
from feature_store.sources.adapters.mapping import language
from feature_store.sources.adapters.presets import preset_files
from feature_store.sources.formats import CONTRACT, formats
from inference.api.settings import ApiSettings
from inference.bundles.bundle import load_bundle, starter_bundle_path
from ops.cli.main import simpersona
from ops.documents.asyncapi import asyncapi_yaml
from ops.documents.personas import personas_page
from ops.drift.signals import Signals
from ops.settings import SETTINGS

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_MADE: Final = "<!-- Made by `make docs`; change the code instead. -->\n\n"
_COMMANDS: Final = """# Commands

Exit status: 0 on success, 2 on bad usage, 1 on failure with one line on stderr. SIGINT (Ctrl-C), SIGTERM and
SIGHUP end a command at any moment, with 128 + the signal's number. Commands that serve end well on the first
two, with 0. A SIGHUP that is ignored (`nohup`) stays ignored.
"""
_FEATURES: Final = """# Features

A buyer is {size} raw numbers (float32): {scalars} behavioural scalars, one pooled product embedding of {dims}
numbers for each of the sets {sets} (of unit length), and one mask a set (1.0 where it holds
something): these are feature version 1. Version 2 adds {session} numbers of the present session and, of the
last {acts} acts (no refunds, no further lines of an order), newest first, the kind (columns {kinds}: 1 + the
type's place in the event contract, 0 where there is none) and the seconds since the act before (columns
{gaps}). Bundles of version 1 read the first columns.
Transforms and scaling are in the exported graph. Money is in minor units / 100, so that currencies with and
without a minor unit share a scale.

| # | name | axis | unit | transform | meaning |
|---|---|---|---|---|---|
"""


def settings_page() -> str:
    """Every setting: environment variable, default, meaning."""
    lines = [
        _MADE,
        "# Settings\n\nAll settings are environment variables. Bad values stop the command at start.\n",
    ]
    lines.append("`SIMPERSONA_LOG_LEVEL` (default `INFO`) sets the level of the structured logs on stderr.\n")
    for settings in SETTINGS:
        summary = (settings.__doc__ or "").splitlines()[0]
        lines.append(
            f"\n## {settings.__name__}\n\n{summary}\n\n| variable | default | meaning |\n|---|---|---|\n"
        )
        for name, field in settings.variables().items():
            default = "" if field.default is None else f"`{field.default}`"
            lines.append(f"| `{name}` | {default} | {_cell(field.description)} |\n")
    return "".join(lines)


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def commands_page() -> str:
    """Every command and option, as --help says it."""
    lines = [
        _MADE,
        _COMMANDS,
    ]
    for path, command in _commands(simpersona, ("simpersona",)):
        shown = copy.copy(command)
        shown._help_option = None  # click keeps the first one made, whatever names it was made with
        with click.Context(
            shown, info_name=" ".join(path), terminal_width=80, **simpersona.context_settings
        ) as it:
            lines.append(f"\n## {' '.join(path)}\n\n```\n{shown.get_help(it)}\n```\n")
    return "".join(lines)


def features_page() -> str:
    """The numbers of a vector: names, axes, units, transforms."""
    sets = ", ".join(PRODUCT_SETS)
    text = _FEATURES.format(
        size=VECTOR_SIZE,
        scalars=len(SCALARS),
        sets=sets,
        dims=EMBEDDING_SIZE,
        session=len(SESSION_SCALARS),
        acts=LATEST_ACTS,
        kinds=f"{KINDS.start} to {KINDS.stop - 1}",
        gaps=f"{GAPS.start} to {GAPS.stop - 1}",
    )
    lines = [_MADE, text]
    for i, s in [*enumerate(SCALARS), *enumerate(SESSION_SCALARS, start=SESSION.start)]:
        lines.append(f"| {i} | {s.name} | {s.axis} | {s.unit} | {s.transform} | {s.meaning} |\n")
    return "".join(lines)


def event_schema() -> str:
    """JSON Schema of an event."""
    return json.dumps(json_schema(), indent=2) + "\n"


def personas() -> str:
    """The catalogue of the bundle that comes with the package."""
    return _MADE + personas_page(load_bundle(starter_bundle_path()))


def drift_page() -> str:
    """docs/drift.md with the table of signals."""
    lines = ["| signal | alert says | an alert from | what to do |\n|---|---|---|---|\n"]
    for name, signal in Signals.signals().items():
        limit = f"{Signals.model_fields[name].default:.0%} (`SIMPERSONA_DRIFT_{name.upper()}`)"
        lines.append(f"| `{name}` | {signal.sentence} | {limit} | {signal.advice} |\n")
    return _with_table((DOCS / "drift.md").read_text(), "signals", lines)


def adapters_page() -> str:
    """docs/adapters.md with the table of formats."""
    lines = ["| format | what | JSON | columns | over HTTP | mapping |\n|---|---|---|---|---|---|\n"]
    presets = {path.stem: path for path in preset_files()}
    for name, found in formats().items():
        rows = "recognised" if found.columns else "yes"
        over_http = _yes(found.payload is not None or name == CONTRACT)
        size = f"{_mapping_lines(presets[name])} lines" if name in presets else ""
        lines.append(f"| `{name}` | {found.about} | {_yes(found.lines)} | {rows} | {over_http} | {size} |\n")
    return _with_table((DOCS / "adapters.md").read_text(), "formats", lines)


def _mapping_lines(path: Path) -> int:
    """The lines of a mapping file, but for blank ones and comments."""
    return sum(1 for line in path.read_text().splitlines() if line.strip() and not line.startswith("#"))


def mapping_page() -> str:
    """docs/mapping.md with the tables of keys."""
    page = (DOCS / "mapping.md").read_text()
    for name, table in language.TABLES.items():
        lines = ["| key | meaning | default |\n|---|---|---|\n"]
        for key, meaning, default in language.keys(table):
            lines.append(f"| `{key}` | {_cell(meaning)} | {default} |\n")
        page = _with_table(page, name, lines)
    return page


def mapping_schema() -> str:
    """JSON Schema of a mapping file."""
    return json.dumps(language.json_schema(), indent=2) + "\n"


def _yes(it: bool) -> str:
    return "yes" if it else ""


def _with_table(text: str, name: str, lines: Sequence[str]) -> str:
    """The text of a page that is written by hand, with a generated table of it made anew."""
    start, end = f"<!-- {name}: made by `make docs` -->", f"<!-- {name}: end -->"
    before, _, rest = text.partition(start)
    return f"{before}{start}\n\n{''.join(lines)}\n{end}{rest.partition(end)[2]}"


def openapi() -> str:
    """The persona API's OpenAPI document, as it serves it."""
    from inference.api.app import create_app
    from ops.api import installation

    return json.dumps(create_app(installation(), ApiSettings()).openapi(), indent=2) + "\n"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "features.md": features_page,
    "event.schema.json": event_schema,
    "openapi.json": openapi,
    "asyncapi.yaml": asyncapi_yaml,
    "personas.md": personas,
    "drift.md": drift_page,
    "adapters.md": adapters_page,
    "mapping.md": mapping_page,
    "mapping.schema.json": mapping_schema,
}


def _commands(group: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None:
                yield from _commands(command, (*path, name))


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
