"""`simpersona evaluate`: how good a bundle's codes are on given events."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import click

from feature_store.sources.choice import SourceChoice
from inference.bundles.bundle import load_bundle
from ops.cli.extras import require_extras
from ops.cli.files.source_options import source_options
from ops.cli.options import histories_argument, json_option
from ops.history.progress_bars import progress_bars, read_with_bar
from training.encoder.dataset import training_rows


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@histories_argument
@source_options
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the split and the samples."
)
@click.option("--most", type=click.IntRange(min=10), help="Judged buyers per store, at most.")
@json_option
def evaluate(
    bundle: Path, paths: tuple[Path, ...], source: SourceChoice, seed: int, most: int | None, as_json: bool
) -> None:
    """Judge the codes of BUNDLE on files of events, beside k-means and two rules.

    PATH is any file that `simpersona events check` accepts, or an archive folder. Two thirds of the buyers
    fix what a code means, the others are judged. The measures are defined in docs/evaluation.md.
    """
    require_extras("training")
    from training.evaluation.cells import TITLES, cell, rounded
    from training.evaluation.one_bundle import MEASURES, judge_bundle

    loaded = load_bundle(bundle)
    with progress_bars() as bars:
        events = itertools.chain.from_iterable(read_with_bar(path, bars, source) for path in paths)
        data = training_rows(events)
    report = judge_bundle(loaded, data, seed=seed, most=most)
    if as_json:
        click.echo(json.dumps(rounded(report)))
        return
    figures = report["figures"]
    click.echo(f"{report['codebook_version']}, {report['buyers']['judged']:,} buyers judged")
    for name in MEASURES:
        ours, lloyd = (cell(name, figures[who][name]) for who in ("bundle", "Lloyd"))
        click.echo(f"{TITLES[name]:28} {ours}   Lloyd {lloyd}")
    if report["types"]:
        calibration = report["types"]["calibration"]["seeds"][0]
        kappas = ", ".join(
            f"{kappa:.2f} at event {n}" for n, kappa in report["types"]["kappa_at_event"].items()
        )
        click.echo(f"type at the end of the session: kappa {kappas}; ECE {calibration['ece']:.3f}")
