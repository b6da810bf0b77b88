"""`simpersona retrain`: from history to a promoted version, step by step."""

from __future__ import annotations

import json
from pathlib import Path

import click

from feature_store.sources.choice import SourceChoice
from ops.cli.extras import require_extras
from ops.cli.files.events_path import EVENTS_PATH
from ops.cli.files.source_options import source_options
from ops.cli.options import json_option, no_announce_option


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=EVENTS_PATH)
@source_options
@click.option("--if-requested", is_flag=True, help="Do nothing unless `simpersona drift` asked for it.")
@click.option("--restart", is_flag=True, help="Give up a run that was interrupted and begin anew.")
@click.option("--no-promote", is_flag=True, help="Leave the version as the candidate.")
@no_announce_option
@click.option("--seed", type=click.IntRange(min=0), help="Same seed and snapshot, same codes.")
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many passes over the data.")
@json_option
def retrain(
    paths: tuple[Path, ...],
    source: SourceChoice,
    if_requested: bool,
    restart: bool,
    no_promote: bool,
    no_announce: bool,
    seed: int | None,
    epochs: int | None,
    as_json: bool,
) -> None:
    """Train a successor of the champion on the archive, judge it, and put it live.

    Snapshot, train, align, evaluate, gate, publish, shadow, promote. The champion answers until the last
    step. A run that was killed goes on where it was, as it was ordered. Exit 1 also where the gates refuse.
    PATH: files of events to train on in place of the archive.
    """
    require_extras("training")
    from feature_store.settings import HomeSettings
    from ops.history.erased_buyers import void_before
    from ops.models import open_models
    from ops.retraining.encoder import retrain_encoder
    from ops.retraining.request import read_request
    from ops.retraining.run_state import Order

    home = HomeSettings().home
    request = read_request(home)
    if if_requested and request is None:
        click.echo(json.dumps({"outcome": "not requested"}) if as_json else "no retrain is requested")
        return
    asked = {"seed": seed, "epochs": epochs}
    order = Order(
        reason=request.why if request else "by hand",
        paths=tuple(str(path.resolve()) for path in paths),
        source=source.resolved(),
        config={name: value for name, value in asked.items() if value is not None},
        promote=not no_promote,
    )
    with open_models(announce=not no_announce) as models, void_before(connected=not no_announce) as void:
        run = retrain_encoder(models, home, void, order, restart=restart)
    if as_json:
        click.echo(json.dumps({"run": run.state.run, "outcome": run.state.outcome, "steps": run.state.done}))
        return
    published = run.state.done["publish"]
    click.echo(
        f"version {published['version']}, codebook {published['codebook_version']}: {run.state.outcome}"
    )
