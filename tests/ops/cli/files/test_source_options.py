"""Every command that reads events from files takes the same options of sources."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from ops.cli.files.events_path import EventsPath
from ops.cli.main import simpersona

OPTIONS = {"--format", "--mapping", "--store", "--timezone", "--decimal"}
NAMED = {
    "fold", "encode", "train", "evaluate", "study", "backfill", "retrain", "demo",
    "events check", "events convert", "events replay", "llm prepare", "llm evaluate", "models promote",
}  # fmt: skip


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(simpersona))
READERS = {
    name
    for name, command in COMMANDS.items()
    if any(isinstance(parameter.type, EventsPath) for parameter in command.params)
}


def test_the_commands_that_read_events_are_known() -> None:
    assert NAMED - {"events check", "events convert"} == READERS  # which say themselves that there is no file


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_command_has_the_options_of_sources(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert options >= OPTIONS
