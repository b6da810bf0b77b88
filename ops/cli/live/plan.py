"""`simpersona plan`: how much of each part a load needs."""

from __future__ import annotations

import click
import msgspec
from rich.console import Console
from rich.table import Table

from ops.cli.options import json_option
from ops.planner.constants import CONSTANTS
from ops.planner.plan import Load, Plan
from ops.planner.plan import plan as reckon
from ops.planner.quantities import Quantity, spoken
from ops.planner.tables import rows
from ops.planner.values import chart_values


@click.command()
@click.option("--buyers", type=Quantity(1), required=True, help="Buyers that the store keeps, as 8.37M.")
@click.option("--events-per-s", type=Quantity(1), required=True, help="Events at the peak, as 250k.")
@click.option("--stores", type=Quantity(1), default=1, show_default=True, help="Shops.")
@click.option(
    "--reads-per-s", type=Quantity(0), help="Personas read over HTTP. Default: a tenth of the events."
)
@click.option(
    "--events-per-request",
    type=Quantity(1),
    default=10,
    show_default=True,
    help="Events that a sender puts into one request to the collector; a browser's pixel sends few.",
)
@click.option(
    "--hottest-buyer-per-s",
    type=Quantity(0),
    default=100,
    show_default=True,
    help="Events of the one busiest buyer, as a bot: they are of one partition.",
)
@json_option
def plan(
    buyers: float,
    events_per_s: float,
    stores: float,
    reads_per_s: float | None,
    events_per_request: float,
    hottest_buyer_per_s: float,
    as_json: bool,
) -> None:
    """Reckon how many brokers, partitions, store nodes, workers and APIs a load needs.

    By figures that commands of this repository measured on one machine, and by assumptions; the answer names
    both. It asks no server. Where the design ends for the load, it says so. With --json it writes values for
    the chart: helm install -f plan.json.
    """
    load = Load(
        buyers=buyers,
        events_per_s=events_per_s,
        stores=stores,
        reads_per_s=events_per_s / 10 if reads_per_s is None else reads_per_s,
        events_per_request=events_per_request,
        hottest_per_s=hottest_buyer_per_s,
    )
    found = reckon(load)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(chart_values(found)), indent=2))
    else:
        _print(found)


def _print(found: Plan) -> None:
    console = Console(highlight=False)
    load = found.load
    table = Table(
        title=f"{spoken(load.buyers)} buyers of {spoken(load.stores)} stores, "
        f"{spoken(load.events_per_s)} events/s"
    )
    for column in ("part", "needs", "because of"):
        table.add_column(column, overflow="fold")
    for row in rows(found):
        table.add_row(*row)
    console.print(table)
    constants = Table(title="reckoned with")
    for column in ("figure", "value", "of", "from"):
        constants.add_column(column, overflow="fold")
    for name, it in CONSTANTS.items():
        constants.add_row(name, f"{it.value:.4g}", it.unit, it.source)
    console.print(constants)
    for limit in found.limits:
        console.print(f"[bold]limit:[/bold] {limit}", soft_wrap=True)
