"""`simpersona models`: which versions there are, which one answers, and moving from one to another."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from training.lifecycle.versions import Version

_no_announce = click.option(
    "--no-announce", is_flag=True, help="Do not tell workers: Kafka is not needed then."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")


@click.group()
def models() -> None:
    """Versions of the encoder: list them, try one out, put one live, take it back."""
    if importlib.util.find_spec("mlflow") is None:
        raise click.UsageError(
            "mlflow is not installed; the registry needs: pip install 'simpersona[training]'"
        )


@models.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """Every version, the newest first, with its aliases and the figures of its gates."""
    from ops.models import open_models

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
@_as_json
def shadow(version: str | None, off: bool, as_json: bool) -> None:
    """Let VERSION tag beside the champion; the agreement is on workers' metrics, nobody sees its personas.

    VERSION is a number, a codebook version, an alias, or the folder of a bundle.
    """
    from ops.models import open_models

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
    type=click.Path(path_type=Path, exists=True),
    help="History to compare on, a file or an archive; else the archive in SIMPERSONA_HOME.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Promote although gates fail or there is no history to compare on; the registry keeps who and why.",
)
@click.option("--reason", default="none given", help="Why it is forced.")
@_no_announce
@_as_json
def promote(
    version: str, data: tuple[Path, ...], force: bool, reason: str, no_announce: bool, as_json: bool
) -> None:
    """Put VERSION live: compare it with the champion, then move the alias and tell every worker.

    VERSION is a number, a codebook version, an alias, or the folder of a bundle. Promoting the champion
    itself tells workers again.
    """
    from feature_store.settings import HomeSettings
    from ops.gating import compare
    from ops.models import Forced, open_models
    from training.errors import GateError
    from training.lifecycle.gates import refusal, verdict_table

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
            verdicts = compare(installed, found, champion, data or [archive])
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
@_no_announce
@_as_json
def rollback(no_announce: bool, as_json: bool) -> None:
    """Put the version live that the champion replaced. No gates: it answered before."""
    from ops.models import open_models

    with open_models(announce=not no_announce) as installed:
        before, now = installed.rollback()
        now = installed.registry.version(now.number)
    _say(as_json, {"champion": _described(now), "before": before.number})


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
