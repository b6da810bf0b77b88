"""`simpersona study`: baselines, held-out stores, seeds and ablations -> docs/evaluation.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from feature_store.sources.choice import SourceChoice
from ops.cli.extras import require_extras
from ops.cli.files.source_options import source_options
from ops.cli.options import histories_argument, json_option
from studies.command import held_out_option, out_option, say_outcome, tell, work_option
from studies.encoder.part_names import PARTS


@click.command()
@histories_argument
@source_options
@out_option("evaluation.md, evaluation.json and evaluation/*.svg")
@work_option(".simpersona/study")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(min=1), help="Seeds a contender.")
@click.option(
    "--few-seeds",
    default=2,
    show_default=True,
    type=click.IntRange(min=1),
    help="Seeds of held-out stores, generated traffic and slow baselines.",
)
@click.option(
    "--ablation-seeds", default=1, show_default=True, type=click.IntRange(min=1), help="Seeds an ablation."
)
@held_out_option
@click.option(
    "--most",
    default=3000,
    show_default=True,
    type=click.IntRange(min=10),
    help="Judged buyers of a store, at most.",
)
@click.option(
    "--generated",
    default=6000,
    show_default=True,
    type=click.IntRange(min=0),
    help="Generated buyers with known types; 0: leave part e out.",
)
@click.option(
    "--generated-shops",
    default=2,
    show_default=True,
    type=click.IntRange(min=0),
    help="Generated shops that are judged for usefulness; 0: none.",
)
@click.option(
    "--generated-buyers",
    default=20_000,
    show_default=True,
    type=click.IntRange(min=100),
    help="Buyers of each of them.",
)
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Part to make; default: all.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs a training; default: 16 short ones.")
@json_option
def study(
    paths: tuple[Path, ...],
    source: SourceChoice,
    out: Path,
    work: Path,
    seeds: int,
    few_seeds: int,
    ablation_seeds: int,
    held_out: tuple[str, ...],
    most: int,
    generated: int,
    generated_shops: int,
    generated_buyers: int,
    parts: tuple[str, ...],
    epochs: int | None,
    as_json: bool,
) -> None:
    """Judge the method on files of events: whether types and codes are useful and true, then sanity checks.

    PATH is any file that `simpersona events check` accepts, or an archive folder. Long (an hour or more);
    killed, it loses the run under way, and the same command goes on. The weight of rebuilding is chosen on
    validation buyers and written to choice.json in the work folder before the test buyers are opened.
    """
    require_extras("training")
    from studies.encoder.inputs import command_line, stores_to_hold_out, study_inputs
    from studies.encoder.plan import BRIEF, Plan, checks_of
    from studies.encoder.report.pages import write_report
    from studies.encoder.report.useful_page import bars_of
    from studies.encoder.study import run_study
    from studies.encoder.useful.study import UsefulPlan, useful_study
    from studies.inputs import Histories

    work.mkdir(parents=True, exist_ok=True)
    possible = tuple(part for part in PARTS if generated or part != "e")
    sized = {
        "seeds": range(seeds),
        "few_seeds": range(few_seeds),
        "ablation_seeds": range(ablation_seeds),
        "held_out": held_out,
        "parts": parts or possible,
        "base": BRIEF if epochs is None else BRIEF | {"epochs": epochs, "patience": epochs},
    }
    plan = Plan.model_validate(sized)
    report: dict[str, Any] = {}
    if checks_of(plan):
        inputs = study_inputs(paths, work, source=source, most=most, generated=generated, tell=tell)
        plan = plan.model_copy(update={"held_out": held_out or stores_to_hold_out(inputs.full)})
        report |= run_study(inputs, plan, work, tell)
    if "useful" in plan.parts:
        asked = UsefulPlan(
            plan.seeds, held_out, plan.base, generated_shops, generated_buyers, "time" in plan.parts
        )
        report["useful"] = useful_study(Histories(paths, source), asked, work, tell)
    report["command"] = command_line(paths, plan, most, generated, generated_shops, generated_buyers)

    write_report(report, out)
    bars = [bar for part in report.values() if isinstance(part, dict) for bar in part.get("bars", [])]
    bars += bars_of(report["useful"]) if "useful" in report else []
    judged = [bar for bar in bars if bar["won"] is not None]
    say_outcome(report, judged, out / "evaluation.md", as_json=as_json)
