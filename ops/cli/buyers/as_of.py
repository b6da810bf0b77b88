"""`simpersona as-of`: what was assigned of a buyer at a moment."""

from __future__ import annotations

import json
import time

import click

from feature_store.online.assignment import Assignment
from ops.cli.options import json_option
from ops.connection import Versions, connect
from ops.errors import VerificationError
from ops.past.as_of import AsOf, to_json
from ops.past.asking import look_for
from ops.past.moment import in_words, parse_moment


@click.command(name="as-of")
@click.option("--store", required=True, help="The shop.")
@click.option("--buyer", required=True, help="The shop's own id of the buyer; it is hashed here.")
@click.option("--pseudonym", is_flag=True, help="BUYER is the id as the topic has it, not the shop's own.")
@click.option(
    "--at",
    required=True,
    metavar="TIME|PARTITION:OFFSET",
    help="Time of assignment (ms or ISO 8601, UTC), or an offset of the clickstream.",
)
@json_option
def as_of(store: str, buyer: str, pseudonym: bool, at: str, as_json: bool) -> None:
    """Show what was assigned of a buyer at a moment: by which version, and from which events.

    Reads the topics and their archives, folds the buyer's events again, and fails where that does not give
    the same.
    """
    moment = parse_moment(at)
    with connect() as live:
        live.erasures.refresh()
        versions = Versions(live.kafka, live.settings.control_topic)
        looker, names = live.looker(versions), live.names(store, buyer, pseudonym)
        past = look_for(looker, store, names, live.erasures.by_key, moment, time.time_ns() // 1_000_000)
        answer = looker.answer(past)
    if as_json:
        click.echo(json.dumps(to_json(answer)))
    else:
        for line in lines(answer):
            click.echo(line)
    if answer.replay.agrees is False:
        raise VerificationError(f"the buyer's events give {answer.replay.note}; run `simpersona verify`")


def lines(answer: AsOf) -> list[str]:
    """The answer for people."""
    a, first = answer.assignment, answer.events[0].offset if answer.events else None
    proof = {True: "their fold gives the same", False: "their fold differs", None: "not folded again"}
    note = f": {answer.replay.note}" if answer.replay.note else ""
    return [
        *persona_lines(a),
        f"{'held from':12} offset {a.partition}:{answer.since}, assigned at {in_words(a.assigned_at)}",
        f"{'reason':12} {a.reason}",
        f"{'version':12} {a.codebook_version}",
        f"{'events':12} {a.events}"
        + (f", offsets {first} to {answer.events[-1].offset}" if answer.events else ""),
        f"{'proof':12} {proof[answer.replay.agrees]}{note}",
    ]


def persona_lines(a: Assignment) -> list[str]:
    """An assignment for people."""
    return [
        f"{'type':12} {a.type or 'none'}{_chance(a.confidence)}",
        f"{'forecast':12} {a.forecast or 'none'}{_chance(a.forecast_probability)}",
        f"{'code':12} {a.code} {a.token}",
    ]


def _chance(probability: float | None) -> str:
    return "" if probability is None else f" ({probability:.0%})"
