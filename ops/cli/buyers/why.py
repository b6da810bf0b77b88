"""`simpersona why`: why a buyer has a persona."""

from __future__ import annotations

import json
import time

import click
import msgspec

from ops.cli.buyers.as_of import persona_lines
from ops.cli.options import json_option
from ops.connection import Versions, connect
from ops.past.asking import look_for
from ops.past.moment import LATEST, parse_moment
from ops.past.why import report, why


@click.command(name="why")
@click.option("--store", required=True, help="The shop.")
@click.option("--buyer", required=True, help="The shop's own id of the buyer; it is hashed here.")
@click.option("--pseudonym", is_flag=True, help="BUYER is the id as the topic has it, not the shop's own.")
@click.option(
    "--at", metavar="TIME|PARTITION:OFFSET", help="Explain the assignment of that moment; default: the last."
)
@click.option(
    "--report",
    "is_report",
    is_flag=True,
    help="All that the log has of the buyer, as JSON: events, assignments, and why.",
)
@json_option
def why_command(
    store: str, buyer: str, pseudonym: bool, at: str | None, is_report: bool, as_json: bool
) -> None:
    """Explain a buyer's persona: which events carry it, and what would give another type.

    Events are left out, and acts added, and the rest is folded and encoded again: nothing is estimated.
    """
    moment = LATEST if at is None else parse_moment(at)
    with connect() as live:
        live.erasures.refresh()
        versions = Versions(live.kafka, live.settings.control_topic)
        looker, names = live.looker(versions), live.names(store, buyer, pseudonym)
        past = look_for(looker, store, names, live.erasures.by_key, moment, time.time_ns() // 1_000_000)
        if is_report:
            click.echo(json.dumps(report(looker, versions.catalogue, past)))
            return
        found = why(looker, versions.catalogue, past)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
        return
    for line in (*persona_lines(found.as_of.assignment), "", *found.in_words):
        click.echo(line)
