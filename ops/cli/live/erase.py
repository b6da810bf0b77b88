"""`simpersona erase`: forget a buyer."""

from __future__ import annotations

import json
import time

import click

from feature_store.contract.erasure import in_words
from feature_store.contract.identity import BuyerHasher, load_id_key
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
        if not pseudonym:
            buyer = BuyerHasher(load_id_key(live.home)).buyer(store, buyer)
        erasure = request_erasure(live, store, buyer, timeout)
        erased_at = erasure.erased_at or time.time_ns() // 1_000_000
        left = what_remains(live.lives(), live.settings.erasures_topic, erased_at)
    if as_json:
        report = {"partition": erasure.partition, "before_offset": erasure.before_offset}
        click.echo(json.dumps({**report, "remaining": [it._asdict() for it in left]}))
    else:
        click.echo(f"erased: partition {erasure.partition}, everything before offset {erasure.before_offset}")
        click.echo("what is left:")
        for it in left:
            click.echo(f"  {in_words([it])}")
