"""`simpersona verify`: is what the store holds what the log says? And `--repair`: make it so."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ops.cli.options import json_option
from ops.connection import Connection, connect
from ops.errors import VerificationError
from ops.verify.installation import Sample
from ops.verify.repair import plan, repair
from ops.verify.report import VerifyReport


@click.command()
@click.option(
    "--sample",
    "share",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Compare this share of the buyers, chosen by hash; counts of windows are left out then.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which buyers a sample has.")
@click.option("--repair", "is_repair", is_flag=True, help="Put right what the log gives, after showing it.")
@click.option("--yes", is_flag=True, help="Repair without asking.")
@json_option
def verify(share: float | None, seed: int, is_repair: bool, yes: bool, as_json: bool) -> None:
    """Compare everything that is served or kept with an offline fold of archive and topic.

    Let the workers catch up first: events that wait to be folded count as not equal.

    --repair rewrites rows, sessions and counts that the log gives, behind the workers' fence: they may go on.
    What only a replay can mend is shown and left alone. Afterwards everything is compared again.
    """
    if is_repair and share is not None:
        raise click.UsageError("repair compares every buyer: leave --sample out")
    with connect() as live:
        if is_repair:
            report, done = _repair(live, yes)
        else:
            report = live.verifier(sample=None if share is None else Sample(share, seed)).run()
            done = {}
    if as_json:
        click.echo(json.dumps(report.to_dict() | done))
    else:
        for name, value in (report.to_dict() | done).items():
            click.echo(f"{name:18} {value}")
    if not report.equal:
        raise VerificationError("the online store and the log disagree; docs/verify.md says what to do")


def _repair(live: Connection, yes: bool) -> tuple[VerifyReport, dict[str, Any]]:
    """Verify, show, ask, repair, and verify again; returns the last report and what was done."""
    report = VerifyReport()
    verifier = live.verifier()
    found = list(verifier.partitions(report))
    wanted = plan(found)
    for line in (*report.examples, *wanted.lines()):
        click.echo(line, err=True)
    if not wanted.values:
        return report, {"repaired": 0}
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("no terminal to ask on: add --yes to repair what is shown above")
        click.confirm("Put it right?", abort=True, err=True)
    repaired = repair(live.rows, found)
    return verifier.run(), {"repaired": repaired, "plan": wanted.to_dict()}
