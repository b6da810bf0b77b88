"""`simpersona erase`: forget a buyer."""

from __future__ import annotations

import json

import click

from feature_store.contract.identity import BuyerHasher, load_id_key
from ops.cli.options import json_option
from ops.connect import connect
from ops.erase import request_erasure


@click.command()
@click.option("--store", required=True, help="The shop.")
@click.option("--buyer", required=True, help="The shop's own id of the buyer; it is hashed here.")
@click.option("--pseudonym", is_flag=True, help="BUYER is the id as the topic has it, not the shop's own.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait for a worker to do it.")
@json_option
def erase(store: str, buyer: str, pseudonym: bool, timeout: float, as_json: bool) -> None:
    """Erase a buyer: rows, caches, archive and every later replay.

    What the topic itself still holds goes with its retention.
    """
    with connect() as live:
        if not pseudonym:
            buyer = BuyerHasher(load_id_key(live.home)).buyer(store, buyer)
        erasure = request_erasure(live, store, buyer, timeout)
    if as_json:
        click.echo(json.dumps({"partition": erasure.partition, "before_offset": erasure.before_offset}))
    else:
        click.echo(f"erased: partition {erasure.partition}, everything before offset {erasure.before_offset}")
