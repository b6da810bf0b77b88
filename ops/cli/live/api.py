"""`simpersona api`: the persona API."""

from __future__ import annotations

import click

from inference.api.settings import ApiSettings
from ops.cli.extras import require_extras


@click.command()
def api() -> None:
    """Serve the persona API: events in, personas out, over HTTP.

    Settings come from the environment (SIMPERSONA_API_*, docs/settings.md); the description is served at
    /openapi.json. Start as many as needed: they share nothing but the store. SIGTERM finishes
    what is under way.
    """
    require_extras("api")
    from inference.api.server import run_api
    from ops.api import installation

    run_api(installation(), ApiSettings())
