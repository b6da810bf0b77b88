"""`simpersona llm simulate`: a population of shopping agents."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feature_store.contract.names import NAME_RULE, is_name
from feature_store.sources.writer import write_events
from feature_store.workspace import make_parent
from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from ops.cli.options import json_option
from ops.history.progress_bars import progress_bars

if TYPE_CHECKING:
    from ops.llm.simulate import MixSource
    from training.persona_llm.agents.population import GoalName


def _store_name(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    if name is not None and not is_name(name):
        raise click.BadParameter(f"{name!r} is no store's name: {NAME_RULE}")
    return name


@click.command()
@click.option(
    "--model",
    default="champion",
    show_default=True,
    help="Folder that `simpersona llm train` made, or a version in the registry.",
)
@click.option(
    "--store", required=True, help="Whose shoppers, and where they shop; a store of the model's traces."
)
@click.option("-n", "--count", "n", default=100, show_default=True, type=click.IntRange(min=1, max=1_000_000))
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Same seed and model, same sessions.",
)
@click.option(
    "--goal",
    type=click.Choice(["neutral", "look", "cart", "checkout", "purchase"]),
    default="neutral",
    show_default=True,
    help="What agents are asked for; neutral says nothing of intent.",
)
@click.option(
    "--source",
    type=click.Choice(["traces", "reference", "live"]),
    default="traces",
    show_default=True,
    help="Where the mix of codes is from: the model's training buyers, the bundle's training buyers, or "
    "what workers counted.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Bundle folder of the mix; default: the settings', else the package's.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Parquet for the sessions.")
@click.option(
    "--events",
    type=click.Path(path_type=Path, dir_okay=False),
    help="NDJSON for events, to send by `simpersona events replay`.",
)
@click.option(
    "--as-store", callback=_store_name, help="Name of the store in the events; else the store's own."
)
@click.option(
    "--temperature",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Below 1 agents do the likely more often.",
)
@click.option(
    "--guidance",
    type=click.FloatRange(min=0),
    help="Above 1 the token says more, as against a shopper without one; takes twice the time. Default, as "
    "evaluated: 2 with neutral goals, else 1.",
)
@click.option(
    "--agent-url",
    help="Chat endpoint (http://host:port/v1) of an external agent that shops in the model's place.",
)
@json_option
def simulate(
    model: str,
    store: str,
    n: int,
    seed: int,
    goal: GoalName,
    source: MixSource,
    bundle: Path | None,
    out: Path | None,
    events: Path | None,
    as_store: str | None,
    temperature: float,
    guidance: float | None,
    agent_url: str | None,
    as_json: bool,
) -> None:
    """Let agents shop: n tokens drawn from the store's mix p_s(k), one agent a token.

    Every agent ends as done, left, limit, invalid or loop, and is counted. Without --out and --events only
    the counts are shown. Tokens of a bundle with another codebook version than the model's are mapped
    through the registry's alignment, or refused.
    """
    from ops.llm.models import open_llm
    from ops.llm.simulate import Asked, as_events, external_agents, own_agents, populate
    from training.persona_llm.agents.agents import GUIDANCE
    from training.persona_llm.agents.chat import Chat, ChatSettings
    from training.persona_llm.agents.population import save_visits

    for path in filter(None, (out, events)):
        make_parent(path)
    loaded = open_llm(model)
    encoder = load_bundle(bundle or active_bundle())
    if guidance is None:
        guidance = GUIDANCE if goal == "neutral" else 1.0
    asked = Asked(store, n, seed, goal, source, as_store, temperature, guidance)
    with ExitStack() as stack:
        agents = own_agents(loaded, asked)
        if agent_url:
            chat = stack.enter_context(Chat(agent_url, ChatSettings()))
            agents = external_agents(chat, loaded, encoder.catalogue)
        bars = stack.enter_context(progress_bars())
        bar = bars.add_task("agents shopping", total=n)
        visits, about = populate(
            loaded, encoder, asked, agents, lambda went: bars.update(bar, completed=went)
        )
        about["agent"] = agent_url or "the model itself"
    if out:
        save_visits(visits, about, out)
    if events:
        write_events(events, [as_events(visits, loaded.store(store), as_store)])
    if as_json:
        click.echo(json.dumps(about))
        return
    ends = ", ".join(f"{count} {end}" for end, count in about["ends"].items())
    did = ", ".join(f"{name} {share:.1%}" for name, share in about["share_that_did"].items())
    click.echo(
        f"{store}: {n:,} agents of {about['codes']} codes, {about['actions_a_run']} actions each: {ends}"
    )
    click.echo(f"{did}; {about['mix']}")
    if about["mapped"]:
        mapped = about["mapped"]
        click.echo(
            f"tokens mapped from codebook {mapped['from']} to {mapped['to']}; {mapped['lost_share']:.1%} of "
            "the mix has no counterpart"
        )
