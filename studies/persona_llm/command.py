"""`simpersona llm evaluate`: agents against real sessions and baselines -> docs/evaluation-llm.md."""

from __future__ import annotations

from pathlib import Path

import click

from feature_store.sources.choice import SourceChoice
from feature_store.workspace import make_parent
from ops.cli.files.source_options import source_options
from ops.cli.options import histories_argument, json_option
from studies.command import held_out_option, out_option, say_outcome, tell, work_option
from studies.persona_llm.part_names import PARTS

_PARTS = tuple(part.replace("_", "-") for part in PARTS)


@click.command()
@histories_argument
@source_options
@out_option("evaluation-llm.md and evaluation-llm.json")
@work_option(".simpersona/llm-evaluation")
@click.option(
    "--base", default="small", show_default=True, help="small, smollm2, or the folder of a causal LM."
)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Seeds of part a.")
@click.option(
    "--few-seeds",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Seeds of prediction, the loop, schedules, profile and ablations.",
)
@click.option(
    "--epochs", default=10, show_default=True, type=click.IntRange(min=1), help="Epochs a training."
)
@click.option(
    "--held-out-epochs",
    default=6,
    show_default=True,
    type=click.IntRange(min=1),
    help="Epochs of models for stores held out; more lean on the stores that were trained on.",
)
@click.option(
    "--sampling",
    type=(float, float),
    multiple=True,
    metavar="TEMPERATURE GUIDANCE",
    help="Way to draw that validation may choose; default: the four of the committed evaluation.",
)
@held_out_option
@click.option("--most", type=click.IntRange(min=10), help="Buyers of a store, at most; default: all.")
@click.option("--part", "parts", multiple=True, type=click.Choice(_PARTS), help="Part to make; default: all.")
@click.option("--so-far", is_flag=True, help="Run nothing more; report what is done.")
@json_option
def evaluate(
    paths: tuple[Path, ...],
    source: SourceChoice,
    out: Path,
    work: Path,
    base: str,
    seeds: int,
    few_seeds: int,
    epochs: int,
    held_out_epochs: int,
    sampling: tuple[tuple[float, float], ...],
    held_out: tuple[str, ...],
    most: int | None,
    parts: tuple[str, ...],
    so_far: bool,
    as_json: bool,
) -> None:
    """Judge the method on files of events: agents with persona tokens, on stores seen and unseen.

    PATH is any file that `simpersona events check` accepts, or an archive folder. Encoders and models are
    trained on the way. Long (an hour or more on two cores); killed, it loses the run under way, and the
    same command goes on. Validation buyers choose the configuration, which is written to choice.json in
    the work folder before the test buyers are opened.
    """
    if (
        parts
        and "in-store" not in parts
        and (alone := [p for p in ("goals", "profile", "ablations") if p in parts])
    ):
        raise click.UsageError(f"--part {alone[0]} stands beside the figures in-store; add --part in-store")
    from studies.persona_llm.inputs import command_line, material_of, stores_to_hold_out
    from studies.persona_llm.plan import Plan
    from studies.persona_llm.report.pages import write_report
    from studies.persona_llm.study import run_evaluation

    make_parent(work / "runs")
    tell("reading the events")
    material, sources = material_of(paths, most, source)
    sized = {
        "base": base,
        "seeds": range(seeds),
        "few_seeds": range(few_seeds),
        "epochs": epochs,
        "held_out_epochs": held_out_epochs,
        "held_out": held_out or stores_to_hold_out(material),
        "parts": [part.replace("-", "_") for part in parts or _PARTS],
    }
    plan = Plan.model_validate(sized | ({"sampling": sampling} if sampling else {}))
    report = run_evaluation(material, plan, work, tell, so_far=so_far)
    report |= {"command": command_line(paths, plan, most), "sources": sources}
    write_report(report, out)
    say_outcome(report, report["bars"], out / "evaluation-llm.md", as_json=as_json)
