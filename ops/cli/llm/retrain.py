"""`simpersona llm retrain`: from history to a persona LLM in use, step by step."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ops.cli.llm.options import KINDS, SCHEDULES
from ops.cli.options import json_option
from training.persona_llm.model.config import Schedule
from training.persona_llm.traces.traces import Kind


@click.command()
@click.argument(
    "paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--restart", is_flag=True, help="Give up a run that was interrupted and begin anew.")
@click.option("--no-promote", is_flag=True, help="Leave the version as the candidate.")
@click.option(
    "--no-erasures",
    is_flag=True,
    help="Do not ask Kafka who was erased: the archive's own purges have to do.",
)
@click.option("--base", help="small, smollm2, or the folder of a causal LM of Hugging Face.")
@click.option(
    "--schedule",
    type=SCHEDULES,
    help="See llm train.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the traces.")
@click.option(
    "--kind",
    type=KINDS,
    help="See llm train; default: that of the model in use.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Same seed and snapshot, same weights.")
@json_option
def retrain(
    paths: tuple[Path, ...],
    restart: bool,
    no_promote: bool,
    no_erasures: bool,
    base: str | None,
    schedule: Schedule | None,
    epochs: int | None,
    kind: Kind | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Train a successor of the persona LLM in use on the archive, judge it, and put it to use.

    Snapshot, prepare, train, evaluate, gate, publish, promote. Traces get the tokens of the encoder that
    answers. A run that was killed goes on where it was, as it was ordered. The gates hold ARA and failed
    runs against the model in use; exit 1 also where they refuse. PATH: files of events in place of the
    archive.
    """
    from feature_store.settings import HomeSettings
    from inference.bundles.active import active_bundle
    from inference.bundles.bundle import load_bundle
    from ops.history.erased_buyers import void_before
    from ops.llm.models import open_llm_models
    from ops.retraining.llm import retrain_llm
    from ops.retraining.run_state import Order

    asked = {"base": base, "schedule": schedule, "epochs": epochs, "kind": kind, "seed": seed}
    order = Order(
        paths=tuple(str(path.resolve()) for path in paths),
        config={name: value for name, value in asked.items() if value is not None},
        promote=not no_promote,
    )
    with void_before(connected=not paths and not no_erasures) as void:
        run = retrain_llm(
            open_llm_models(),
            load_bundle(active_bundle()),
            HomeSettings().home,
            void,
            order,
            restart=restart,
        )
    if as_json:
        click.echo(json.dumps({"run": run.state.run, "outcome": run.state.outcome, "steps": run.state.done}))
        return
    published = run.state.done["publish"]
    click.echo(f"version {published['version']}, model {published['model_version']}: {run.state.outcome}")
