"""`simpersona ids`: the key of buyers' pseudonyms, replaced while everything runs."""

from __future__ import annotations

import json

import click
import msgspec

from feature_store.contract.identity import BuyerHasher, add_id_key, load_id_keys
from feature_store.settings import HomeSettings
from ops.cli.options import json_option
from ops.connection import connect
from ops.one_at_a_time import sole_holder
from ops.rekey import rekey as move_history


@click.group()
def ids() -> None:
    """Rotate the key of buyers' pseudonyms: after a leak, or when a rule asks for it.

    First `rotate`, then restart what hashes buyer ids (api, replays, senders of your own), then `rekey`.
    """


@ids.command()
@json_option
def rotate(as_json: bool) -> None:
    """Make a new key and put it after the old ones.

    In the key file, or, where SIMPERSONA_ID_KEY is set, print its new value. Events of processes that were
    started since are under the new key. Buyers are found, and erased, under all keys.
    """
    value = add_id_key(HomeSettings().home)
    if as_json:
        click.echo(json.dumps({"SIMPERSONA_ID_KEY": value}))
    elif value is None:
        click.echo("the key file has a new key; restart what hashes buyer ids, then `simpersona ids rekey`")
    else:
        click.echo("set this wherever buyer ids are hashed, restart it, then `simpersona ids rekey`:")
        click.echo(f"SIMPERSONA_ID_KEY={value}")


@ids.command()
@json_option
def rekey(as_json: bool) -> None:
    """Move the history of old keys to the newest: send it again, and erase the old names.

    It reads the archive in the data folder, then the topic. If it is interrupted, run it again.
    """
    with connect() as live, sole_holder(live.home / "rekey.lock", "a move of buyers to another key"):
        hasher = BuyerHasher(*load_id_keys(live.home))
        report = move_history(live, hasher, lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        click.echo(f"{report.buyers} buyers and {report.events} events moved to the newest key")
