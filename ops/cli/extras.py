"""Commands that need an extra of the package say which one, before they begin."""

from __future__ import annotations

import importlib.metadata
import re

import click


def require_extras(*extras: str) -> None:
    """Raise click.UsageError where a package of these extras (pyproject.toml) is not installed."""
    missing = []
    for requirement in importlib.metadata.requires("simpersona") or ():
        name, _, marker = requirement.partition(";")
        if any(f'extra == "{extra}"' in marker for extra in extras):
            package = re.split(r"[^\w.-]", name)[0]
            try:
                importlib.metadata.distribution(package)
            except importlib.metadata.PackageNotFoundError:
                missing.append(package)
    if missing:
        wanted = ",".join(extras)
        raise click.UsageError(
            f"{', '.join(missing)} not installed; this command needs: pip install 'simpersona[{wanted}]'"
        )
