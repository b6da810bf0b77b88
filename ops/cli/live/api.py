"""`simpersona api`: the persona API."""

from __future__ import annotations

import sys

import click

from inference.api.settings import ApiSettings
from ops.cli.extras import require_extras


@click.command()
@click.option("--one-of-several", is_flag=True, hidden=True, help="Started by another `simpersona api`.")
def api(one_of_several: bool) -> None:
    """Serve the persona API: events in, personas out, over HTTP.

    Settings come from the environment (SIMPERSONA_API_*, docs/settings.md); the
    description is served at /openapi.json. It runs as many processes as the machine has cores, or
    SIMPERSONA_API_PROCESSES, which share the port. Machines share nothing but the store.
    SIGTERM finishes what is under way.
    """
    require_extras("api")
    from inference.api.processes import run_processes, usable_cores
    from inference.api.server import run_api
    from ops.api import installation

    settings = ApiSettings()
    count = settings.processes or usable_cores()
    if count > 1 and not one_of_several:
        run_processes(count, settings, [sys.executable, "-m", "ops.cli.main", "api", "--one-of-several"])
    else:
        run_api(installation(), settings, is_one_of_several=one_of_several)
