"""`simpersona models`: which versions there are, which one answers, and moving from one to another."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from feature_store.settings import HomeSettings
from feature_store.sources.choice import SourceChoice
from feature_store.sources.files.folders import is_pattern
from ops.cli.extras import require_extras
from ops.cli.files.events_path import EVENTS_PATH
from ops.cli.files.source_options import source_options
from ops.cli.options import json_option, no_announce_option
from ops.errors import ModelsError
from ops.history.files import history_batches
from ops.models import Forced, Models, open_models
from training.encoder.config import TrainConfig
from training.encoder.dataset import training_rows
from training.errors import GateError
from training.lifecycle.gate_figures import GateRows, measure
from training.lifecycle.gates import GateSettings, Verdict, judge, refusal, verdict_table
from training.lifecycle.versions import Version


@click.group()
def models() -> None:
    """Versions of the encoder: list them, try one out, put one live, take it back."""
    require_extras("training")


@models.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every version, the newest first, with its aliases and the figures of its gates."""
    with open_models(announce=False) as installed:
        versions = installed.registry.versions()
    if as_json:
        click.echo(json.dumps({"versions": [_described(version) for version in versions]}))
        return
    if not versions:
        click.echo("no version yet: workers answer with the bundle that they were started with")
    for version in versions:
        figures = "  ".join(f"{name} {value:.4g}" for name, value in sorted(version.figures.items()))
        alias = ",".join(version.aliases) or "-"
        forced = "  forced" if "forced" in version.tags else ""
        click.echo(f"{version.number:>4}  {version.codebook_version:<22} {alias:<10} {figures}{forced}")


@models.command()
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="End shadow mode.")
@json_option
def shadow(version: str | None, off: bool, as_json: bool) -> None:
    """Let VERSION tag beside the champion. Metrics show the agreement; its personas are not published.

    VERSION is a number, a codebook version, an alias, or the folder of a bundle.
    """
    if off == (version is not None):
        raise click.UsageError("name one version, or say --off")
    with open_models(announce=True) as installed:
        found = None if version is None else installed.find(version)
        installed.shadow(found)
    _say(as_json, {"shadow": None if found is None else _described(found)})


@models.command()
@click.argument("version")
@click.option(
    "--data",
    multiple=True,
    type=EVENTS_PATH,
    help="History to compare on: files of events or an archive; else the archive in SIMPERSONA_HOME.",
)
@source_options
@click.option(
    "--force",
    is_flag=True,
    help="Promote although gates fail or there is no history to compare on; the registry keeps who and why.",
)
@click.option("--reason", default="none given", help="Why it is forced.")
@no_announce_option
@json_option
def promote(
    version: str,
    data: tuple[Path, ...],
    source: SourceChoice,
    force: bool,
    reason: str,
    no_announce: bool,
    as_json: bool,
) -> None:
    """Put VERSION live: compare it with the champion, then move the alias and tell every worker.

    VERSION is a number, a codebook version, an alias, or the folder of a bundle. Promoting the champion
    itself tells workers again.
    """
    with open_models(announce=not no_announce) as installed:
        champion = installed.champion()
        found = installed.find(version)
        verdicts, refused = [], ""
        archive = HomeSettings().home / "archive"
        if found.number == champion.number:
            pass
        elif force and not data and not archive.exists():
            refused = "not compared, there is no history"
        else:
            verdicts = _compare(installed, found, champion, data or [archive], source)
            refused = refusal(verdicts) or ""
            installed.registry.measured(found, {verdict.gate: verdict.candidate for verdict in verdicts})
            click.echo(verdict_table(verdicts), err=True)
        if refused and not force:
            raise GateError(
                f"version {found.number} is not promoted, it is worse than the champion "
                f"(version {champion.number}): {refused}"
            )
        installed.promote(found, Forced(reason, refused) if refused else None, over=champion)
        found = installed.registry.version(found.number)
    gates = [verdict._asdict() for verdict in verdicts]
    _say(as_json, {"champion": _described(found), "before": champion.number, "gates": gates})


@models.command()
@no_announce_option
@json_option
def rollback(no_announce: bool, as_json: bool) -> None:
    """Put the version live that the champion replaced. No gates: it answered before."""
    with open_models(announce=not no_announce) as installed:
        before, now = installed.rollback()
        now = installed.registry.version(now.number)
    _say(as_json, {"champion": _described(now), "before": before.number})


def _compare(
    models: Models, candidate: Version, champion: Version, paths: Sequence[Path], source: SourceChoice
) -> list[Verdict]:
    """Measure both versions on the histories in `paths` and judge the candidate.

    Raises:
        ModelsError: there is no history to compare on.
        GateError: it has too few buyers.
    """
    if not all(path.exists() or is_pattern(path) for path in paths):
        raise ModelsError(
            f"gates compare both versions on history, and {', '.join(map(str, paths))} is not there: "
            "run `simpersona archive`, or name files with --data"
        )
    config = TrainConfig()
    events = itertools.chain.from_iterable(history_batches(path, source) for path in paths)
    data = training_rows(events)
    rows = GateRows.of(data, config.validation_share, config.seed)
    with tempfile.TemporaryDirectory() as folder:
        bundles = [models.registry.lay_down(version, Path(folder)) for version in (champion, candidate)]
        theirs, ours = measure(bundles, rows)
    return judge(theirs, ours, GateSettings())


def _described(version: Version) -> dict[str, Any]:
    about = version._asdict()
    return {"version": about.pop("number"), **about}


def _say(as_json: bool, report: dict[str, Any]) -> None:
    if as_json:
        click.echo(json.dumps(report))
        return
    for what, value in report.items():
        if isinstance(value, dict):
            click.echo(f"{what}: version {value['version']}, codebook {value['codebook_version']}")
        elif value is None:
            click.echo(f"{what}: off")
