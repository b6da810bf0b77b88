"""`simpersona erase`: forget a buyer."""

from __future__ import annotations

import json
import time

import click

from feature_store.contract.erasure import in_words
from ops.cli.options import json_option
from ops.connection import connect
from ops.erase import request_erasure
from streams.erasures.remains import what_remains


@click.command()
@click.option("--store", required=True, help="The shop.")
@click.option("--buyer", required=True, help="The shop's own id of the buyer; it is hashed here.")
@click.option("--pseudonym", is_flag=True, help="BUYER is the id as the topic has it, not the shop's own.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait for a worker to do it.")
@json_option
def erase(store: str, buyer: str, pseudonym: bool, timeout: float, as_json: bool) -> None:
    """Erase a buyer: rows, caches, archive and every later replay.

    Ends when workers have passed the request, and says what is left, where, and until when.
    """
    with connect() as live:
        names = live.names(store, buyer, pseudonym)
        erasures = [request_erasure(live, store, name, timeout) for name in names]
        erased_at = max(erasure.erased_at or time.time_ns() // 1_000_000 for erasure in erasures)
        left = what_remains(live.lives(), live.settings.erasures_topic, erased_at)
    if as_json:
        places = [{"partition": it.partition, "before_offset": it.before_offset} for it in erasures]
        report = {**places[0], "under_older_keys": places[1:]}
        click.echo(json.dumps({**report, "remaining": [it._asdict() for it in left]}))
    else:
        for it in erasures:
            click.echo(f"erased: partition {it.partition}, everything before offset {it.before_offset}")
        click.echo("what is left:")
        for remainder in left:
            click.echo(f"  {in_words([remainder])}")
