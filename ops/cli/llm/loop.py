"""`simpersona llm loop`: does the code that comes out equal the code that went in?"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from ops.cli.options import json_option
from ops.connection import connect


@click.command()
@click.argument("simulated", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--traces",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder of `simpersona llm prepare`: its test sessions of the store are the ceiling.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Bundle whose codes went in; default: the one that answers.",
)
@click.option("--live", is_flag=True, help="Through Kafka and the workers that run, not the offline fold.")
@click.option(
    "--store", default="simulated", show_default=True, help="Name of the store in the live path, with --live."
)
@click.option(
    "--wait",
    "wait_s",
    default=120.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds for workers to fold, with --live.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the intervals.")
@json_option
def loop(
    simulated: Path,
    traces: Path,
    bundle: Path | None,
    live: bool,
    store: str,
    wait_s: float,
    seed: int,
    as_json: bool,
) -> None:
    """Tag SIMULATED sessions again and compare: which share comes out with the code, and type, that went in.

    SIMULATED is what `simpersona llm simulate --out` wrote. Beside the share stand chance, the code of a
    random other agent, and real sessions tagged again.
    """
    from ops.llm.loop import LivePath
    from training.persona_llm.agents.loop import loop_figures
    from training.persona_llm.agents.population import load_visits
    from training.persona_llm.lifecycle.versions import require_codebook
    from training.persona_llm.storefront.store_model import load_stores
    from training.persona_llm.traces.prepare import STORES
    from training.persona_llm.traces.traces import load_traces

    visits, about = load_visits(simulated)
    prepared, manifest = load_traces(traces)
    encoder = load_bundle(bundle or active_bundle())
    for path, version in ((simulated, about["codebook_version"]), (traces, manifest["codebook_version"])):
        require_codebook(encoder.codebook_version, version, path)
    stores = {visit.run.shopper.store for visit in visits}
    with ExitStack() as stack:
        sent = LivePath(stack.enter_context(connect()), store, wait_s) if live else None
        report = loop_figures(
            [visit.run for visit in visits],
            [trace for trace in prepared if trace.split == "test" and trace.store in stores],
            encoder.folder,
            seed,
            kind=about["kind"],
            currencies={name: model.currency for name, model in load_stores(traces / STORES).items()},
            encode=sent,
        )
    if sent:
        report["live"] = {
            "store": store,
            "sessions": sent.sessions,
            "events": sent.events,
            "as_offline": sent.as_offline,
        }
    if as_json:
        click.echo(json.dumps(report))
        return
    for name in ("code", "type"):
        if report[name]:
            _say(name, report[name])
    if sent:
        click.echo(
            f"live path: {sent.events:,} events of {sent.sessions:,} sessions, {sent.as_offline:,} tagged as "
            "by the offline fold"
        )


def _say(name: str, figures: dict[str, Any]) -> None:
    came, real = figures["simulated"], figures["replay"]
    click.echo(
        f"{name}: {came['value']:.1%} [{came['low']:.1%}, {came['high']:.1%}] come out as they went in; "
        f"chance {figures['chance']:.1%}, real sessions {real['value']:.1%} "
        f"[{real['low']:.1%}, {real['high']:.1%}]"
    )
