"""`simpersona train`: events -> a bundle."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from feature_store.contract.events import Event
from feature_store.sources.choice import SourceChoice
from feature_store.workspace import workspace
from ops.cli.extras import require_extras
from ops.cli.files.source_options import source_options
from ops.cli.options import histories_argument, json_option
from ops.history.progress_bars import progress_bars, read_with_bar
from training.encoder.config import TrainConfig
from training.encoder.dataset import describe_source, training_rows


@click.command()
@histories_argument
@source_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Bundle folder to make.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same codes."
)
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many passes over the data.")
@click.option("--note", help="How the files were made; kept among the manifest's sources.")
@click.option("--made-up", is_flag=True, help="The stores do not exist: the bundle is to have seen no store.")
@json_option
def train(
    paths: tuple[Path, ...],
    source: SourceChoice,
    out: Path,
    seed: int,
    epochs: int | None,
    note: str | None,
    made_up: bool,
    as_json: bool,
) -> None:
    """Train an encoder on files of events and publish it as a bundle.

    PATH is any file that `simpersona events check` accepts, or an archive folder. An encoder needs at
    least 256 buyers. A run that was killed goes on where it was when the same command is given again.
    """
    require_extras("training")
    from training.encoder.train import train as train_model
    from training.publishing.publish import check_absent, publish

    check_absent(out)
    config = TrainConfig(seed=seed) if epochs is None else TrainConfig(seed=seed, epochs=epochs)
    counts = dict.fromkeys(paths, 0)
    out.parent.mkdir(parents=True, exist_ok=True)
    with workspace(out) as work:
        for left in out.parent.glob(f".{out.name}.staging-*"):
            shutil.rmtree(left)  # a killed run's; nobody else makes this bundle while the workspace is ours
        with progress_bars() as bars:

            def counted(path: Path) -> Iterator[list[Event]]:
                for batch in read_with_bar(path, bars, source):
                    counts[path] += len(batch)
                    yield batch

            data = training_rows(itertools.chain.from_iterable(map(counted, paths)), work=work)
        trained = train_model(data, config, out.with_name(f".{out.name}.checkpoint"))
        with progress_bars() as bars:

            def again() -> Iterator[list[Event]]:
                return itertools.chain.from_iterable(read_with_bar(path, bars, source) for path in paths)

            described = [describe_source(path, count) for path, count in counts.items()]
            bundle, evaluated = publish(
                trained,
                data,
                out,
                sources=described + ([note] if note else []),
                command=shlex.join(["simpersona", *sys.argv[1:]]),
                events=again,
                made_up=made_up,
            )
    report = bundle.summary() | {"evaluation": evaluated}
    if as_json:
        click.echo(json.dumps(report))
        return
    click.echo(
        f"bundle {bundle.codebook_version} in {out}: {evaluated['data']['buyers']:,} buyers, "
        f"{evaluated['codes_used']} codes used, perplexity {evaluated['perplexity']}, "
        f"trained in {evaluated['seconds']} s"
    )
