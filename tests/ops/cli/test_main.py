"""The `simpersona` command: what it lists, what it imports, and what it says when a part is not installed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from ops.cli.lazy import LazyGroup
from ops.cli.main import simpersona

HEAVY = ("torch", "transformers", "mlflow", "sklearn", "pandas")
"""What an extra of the package installs and takes seconds to import."""

_MODULES = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
sys.argv = ["simpersona", *{arguments!r}]
from ops.cli.main import main
main()
"""


def modules_after(*arguments: str) -> set[str]:
    """The modules that a process has imported when `simpersona ARGUMENTS` ends, with status 0."""
    code = _MODULES.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def groups() -> Iterator[tuple[str, LazyGroup]]:
    def below(path: str, group: LazyGroup) -> Iterator[tuple[str, LazyGroup]]:
        yield path, group
        for name in group.entries:
            command = group.get_command(click.Context(group), name)
            if isinstance(command, LazyGroup):
                yield from below(f"{path} {name}", command)

    yield from below("simpersona", simpersona)


def test_help_imports_no_command() -> None:
    loaded = modules_after("--help")
    assert {name for name in loaded if name.startswith("ops.cli.")} == {
        "ops.cli.lazy",
        "ops.cli.main",
        "ops.cli.telling",
    }
    rooms = {name.partition(".")[0] for name in loaded}
    assert not rooms & {"inference", "streams", "training", "feast", "faust", "numba", "pydantic", *HEAVY}


def test_help_of_a_group_imports_none_of_its_commands() -> None:
    loaded = {name for name in modules_after("llm", "--help") if name.startswith("ops.cli.llm.")}
    assert loaded == {"ops.cli.llm.group"}


def test_commands_load_nothing_of_an_extra_before_they_run() -> None:
    """Neither their --help nor, say, completion of their options takes torch's ten seconds."""
    code = (
        "import importlib, json, sys\n"
        "from ops.cli import main\nfrom ops.cli.llm import group\n"
        "for entry in [*main.COMMANDS.values(), *group.COMMANDS.values()]:\n"
        "    importlib.import_module(entry.target.partition(':')[0])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("path", "group"), [pytest.param(*found, id=found[0]) for found in groups()])
def test_what_a_group_lists_of_a_command_fits_on_a_line(path: str, group: LazyGroup) -> None:
    shown = group.get_help(click.Context(group, info_name=path, terminal_width=80))
    for name, entry in group.entries.items():
        assert f"  {name:{max(map(len, group.entries))}}  {entry.help}\n" in f"{shown}\n"


def test_completion_imports_no_command() -> None:
    code = (
        "import sys\nfrom click.shell_completion import ShellComplete\nfrom ops.cli.main import simpersona\n"
        "found = ShellComplete(simpersona, {}, 'simpersona', '_').get_completions([], 'st')\n"
        "assert [item.value for item in found] == ['stack', 'study'], found\n"
        "assert 'ops.cli.live.stack' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_of_a_group_are_completed() -> None:
    found = ShellComplete(simpersona, {}, "simpersona", "_").get_completions([], "--v")
    assert [item.value for item in found] == ["--version"]


def test_a_command_of_an_extra_that_is_not_installed_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = importlib.metadata.distribution

    def without(name: str) -> importlib.metadata.Distribution:
        if name in ("torch", "fastapi"):
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without)
    monkeypatch.setenv("SIMPERSONA_HOME", str(tmp_path))
    for arguments, package, extra in [
        (["api"], "fastapi", "api"),
        (["train", __file__, "--out", str(tmp_path / "bundle")], "torch", "training"),
        (["evaluate", os.fspath(tmp_path), __file__], "torch", "training"),
        (["retrain"], "torch", "training"),
        (["models", "list"], "torch", "training"),
    ]:
        result = CliRunner().invoke(simpersona, arguments)
        assert result.exit_code == 2, arguments
        wanted = f"{package} not installed; this command needs: pip install 'simpersona[{extra}]'"
        assert wanted in result.output
