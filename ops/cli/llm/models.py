"""`simpersona llm models`: versions of the persona LLM, which one is in use, promotion and rollback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ops.cli.options import json_option
from ops.models import Forced
from training.errors import GateError
from training.lifecycle.gates import refusal, verdict_table
from training.lifecycle.versions import Version


@click.group()
def models() -> None:
    """Versions of the persona LLM: list them, put one to use, take it back."""


@models.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every version, the newest first, with its codebook, its aliases and its figures."""
    from ops.llm.models import open_llm_models

    versions = open_llm_models().registry.versions()
    if as_json:
        click.echo(json.dumps({"versions": [_described(version) for version in versions]}))
        return
    if not versions:
        click.echo("no version yet: `simpersona llm retrain` makes one, `llm models promote FOLDER` adds one")
    for version in versions:
        figures = "  ".join(f"{name} {value:.4g}" for name, value in sorted(version.figures.items()))
        alias = ",".join(version.aliases) or "-"
        forced = "  forced" if "forced" in version.tags else ""
        model = version.tags["model_version"]
        codebook = f"codebook {version.codebook_version}"
        click.echo(f"{version.number:>4}  {model:<20} {codebook:<30} {alias:<10} {figures}{forced}")


@models.command()
@click.argument("version")
@click.option(
    "--traces",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of `simpersona llm prepare` to compare on; needed unless there is no model in use.",
)
@click.option("--force", is_flag=True, help="Promote although gates fail; the registry keeps who and why.")
@click.option("--reason", default="none given", help="Why it is forced.")
@json_option
def promote(version: str, traces: Path | None, force: bool, reason: str, as_json: bool) -> None:
    """Put VERSION to use: compare it with the model in use, then move the alias.

    VERSION is a number, a model version, an alias, or the folder of a model.
    """
    from ops.llm.models import open_llm_models, verdicts_on

    installed = open_llm_models()
    champion, found = installed.champion(), installed.find(version)
    refused, gates = None, []
    if champion is not None and champion.number != found.number:
        if traces is None and not force:
            raise click.UsageError("name test sessions to compare on by --traces, or say --force")
        refused = "not compared"
        if traces is not None:
            candidate, held = installed.load(found), installed.load(champion)
            figures = installed.compare(candidate, held, traces, candidate.config.seed)
            installed.registry.measured(found, figures[1]._asdict())
            gates = verdicts_on(figures)
            click.echo(verdict_table(gates), err=True)
            refused = refusal(gates)
        if refused and not force:
            raise GateError(
                f"version {found.number} is not promoted, it is worse than the one in use: {refused}"
            )
    installed.promote(found, Forced(reason, refused) if refused else None, over=champion)
    found = installed.registry.version(found.number)
    before = champion and champion.number
    report = {"champion": _described(found), "before": before, "gates": [gate._asdict() for gate in gates]}
    _say(as_json, report)


@models.command()
@json_option
def rollback(as_json: bool) -> None:
    """Put the version to use that the one in use replaced. No gates: it was in use before."""
    from ops.llm.models import open_llm_models

    before, now = open_llm_models().rollback()
    _say(as_json, {"champion": _described(now), "before": before.number})


def _described(version: Version) -> dict[str, Any]:
    about = version._asdict()
    return {"version": about.pop("number"), **about}


def _say(as_json: bool, report: dict[str, Any]) -> None:
    if as_json:
        click.echo(json.dumps(report))
        return
    champion = report["champion"]
    model = champion["tags"]["model_version"]
    click.echo(
        f"version {champion['version']} is in use: model {model}, codebook {champion['codebook_version']}"
    )
