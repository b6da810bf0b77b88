"""`simpersona verify`: is what the store holds what the log says?"""

from __future__ import annotations

import json

import click

from ops.cli.options import json_option
from ops.connect import connect
from ops.errors import VerificationError


@click.command()
@json_option
def verify(as_json: bool) -> None:
    """Compare the online rows and every assignment with an offline fold of archive and topic.

    Let the workers catch up first: events that wait to be folded count as not equal.
    """
    with connect() as live:
        report = live.verifier().run()
    if as_json:
        click.echo(json.dumps(report.to_dict()))
    else:
        for name, value in report.to_dict().items():
            click.echo(f"{name:14} {value}")
    if not report.equal:
        raise VerificationError("the online store and the log disagree; docs/runbook.md says where to look")
