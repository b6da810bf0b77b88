"""Commands that live in studies/: a checkout has them (`make setup-dev`), the wheel has not.

Whoever has studies/ installed says so by an entry point of the group GROUP (studies/pyproject.toml).
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

import click

from ops.errors import StudiesError

GROUP: Final = "simpersona.studies"


def __getattr__(name: str) -> click.Command:
    """The command of the study that is installed under this name.

    Raises:
        StudiesError: none is.
    """
    if name.startswith("__"):
        raise AttributeError(name)
    for point in entry_points(group=GROUP, name=name):
        command: click.Command = point.load()
        return command
    raise StudiesError(
        f"the {name.replace('_', ' ')} study is not installed: it makes this repository's own report and is "
        f"not part of the package; run `make setup-dev` in a checkout of simpersona"
    )
