"""evaluation.json, evaluation.md and its plots: one set of figures, three ways to read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from feature_store.workspace import write_whole
from studies.encoder.part_names import CHECKS
from studies.encoder.report.plots import worst, write_plots
from studies.encoder.report.useful_page import useful
from studies.page import formulas, header, write_figures
from training.evaluation import measures
from training.evaluation.cells import TITLES, Figures, cell, rounded

PAPER: Final[dict[str, tuple[str, str]]] = {  # SimPersona, its MiniBatch k-means (paper.md)
    "ch16_standard": ("206.5 (space not said)", "173.8"),
    "purity": ("84.5", "78.9"),
    "incoherence_engagement": ("< 0.5", "up to 66.7"),
    "incoherence_exploration": ("< 0.5", "up to 66.7"),
    "incoherence_purchase": ("< 0.5", "up to 66.7"),
    "js": ("0.054", "-"),
    "d_purchase": ("2.80", "-"),
    "d_exploration": ("0.10", "-"),
}
_FORMULAS: Final[tuple[Callable[..., Any], ...]] = (
    measures.calinski_harabasz,
    measures.accuracy,
    measures.macro_recall,
    measures.incoherence,
    measures.perplexity,
    measures.funnel_divergence,
    measures.jensen_shannon,
    measures.cohens_d,
    measures.thirds,
    measures.exact_thirds,
    measures.auc,
    measures.kappa,
    measures.brier,
    measures.calibration_error,
)


def write_report(report: dict[str, Any], out: Path) -> None:
    """evaluation.json, evaluation/*.svg and evaluation.md in `out`, the page last.

    The sanity checks take hours: where this run made none, those of the JSON that is there are kept, with the
    command that made them.
    """
    figures = _with_earlier_checks(rounded(report), out / "evaluation.json")
    write_figures(figures, out / "evaluation.json")
    if "setup" in figures:
        write_plots(figures, out / "evaluation")
    write_whole(out / "evaluation.md", markdown(figures).encode())


def _with_earlier_checks(figures: dict[str, Any], path: Path) -> dict[str, Any]:
    if "setup" in figures or not path.exists():
        return figures
    earlier = json.loads(path.read_text())
    kept = {name: part for name, part in earlier.items() if name in ("setup", "choice", *CHECKS)}
    made_by = {"checks_command": earlier.get("checks_command", earlier["command"])} if kept else {}
    return figures | kept | made_by


def markdown(report: Figures) -> str:
    """The page."""
    checks = {
        "a": _paper,
        "b": _strong,
        "e": _generated,
        "calibration": _calibration,
        "ablations": _ablations,
        "scaling": _scaling,
    }
    sections: list[Callable[[Figures], Iterator[str]]] = [_title]
    if "useful" in report:
        sections.append(useful)
    if "setup" in report:
        sections += [_head, _bars, *(part for name, part in checks.items() if name in report), _how]
    return "\n".join(line for part in sections for line in part(report)) + "\n"


def _title(report: Figures) -> Iterator[str]:
    yield "<!-- Made by `simpersona study`; the same figures are in evaluation.json. -->\n"
    yield "# Evaluation of the encoder\n"
    yield f"Made by\n\n```\n{report['command']}\n```\n"


def _head(report: Figures) -> Iterator[str]:
    setup, choice = report["setup"], report["choice"]
    yield "## Sanity checks\n"
    yield (
        "What a rule reaches by itself: purity with the funnel in the input, JS in-store, coherence of "
        "levels that the encoder is told, how compact and how evenly used codes are. A bad figure here is a "
        "fault; a good one shows no use.\n"
    )
    if "checks_command" in report:
        yield f"Made earlier, of the encoder as it was then, by\n\n```\n{report['checks_command']}\n```\n"
    seeds = len(setup["plan"]["seeds"])
    share = _rows_drawn(setup["plan"]["base"]) / _rows_drawn(choice["defaults"])
    yield (
        f"{setup['models']} VQ-VAEs were trained, {setup['median_seconds']:.0f} s each (median), each on "
        f"{_rows_drawn(setup['plan']['base']):,} drawn rows, {100 * share:.0f} % of `simpersona train`'s. "
        f"Seeds 0 to {seeds - 1} move the weights, the codebook and the batches; the split of buyers is the "
        f"same for all. Figures are means over the seeds, [..] the 95 % interval over buyers of that mean "
        f"({setup['bootstrap_samples']} bootstrap samples, drawn store by store, their bias taken off), (..) "
        f"the lowest and the highest seed. The paper's figures are of other data and stand beside ours as a "
        f"bar, not as a comparison.\n"
    )
    if setup["plan"]["few_seeds"] != setup["plan"]["seeds"]:
        few = ", ".join(map(str, setup["plan"]["few_seeds"]))
        yield (
            f"Seeds {few} only: held-out stores with the funnel in sight, generated traffic, plain VQ-VAE, "
            f"autoencoder.\n"
        )
    most = max(store["buyers"] for store in setup["stores"].values())
    yield f"Judged are buyers with 3 events or more, at most {most:,} of a store:\n"
    yield header("store", "training", "test", "A", "B", "C", "D")
    for name, store in setup["stores"].items():
        strata = " | ".join(str(store["strata"][stratum]) for stratum in "ABCD")
        yield f"| {name} | {store['train']} | {store['test']} | {strata} |"
    yield ""
    yield "Sources: " + "; ".join(setup["sources"]) + ".\n"
    chosen = choice["chosen"]
    yield (
        f"**Validation chose, test was read afterwards.** Rule: {choice['rule']}. Chosen: "
        f"{chosen['rebuilding_weight']} (seed {choice['seed']}; fixed {choice['fixed_at']}, test buyers "
        f"first opened {choice['opened_at']}). All other settings are TrainConfig's defaults. The sides are "
        f"drawn by seed {setup['split_seed']}: an earlier study's test figures led to changes of the encoder "
        f"that were tried on training and validation buyers of this split alone (docs/adr/0031). Both draw "
        f"from the same stores, so in the four smaller ones each buyer was on one of the sides there as "
        f"well.\n"
    )


def _rows_drawn(config: Figures) -> int:
    return int((config["epochs"] + config["warmup_epochs"]) * config["epoch_rows"])


def _bars(report: Figures) -> Iterator[str]:
    yield "### Sanity checks won and missed\n"
    yield header("part", "asked", "found", "")
    for part in "abc":
        for bar in report.get(part, {"bars": []})["bars"]:
            value = bar["value"] if isinstance(bar["value"], str) else f"{bar['value']:.3g}"
            yield f"| {part} | {_asked(bar['asked'])} | {value} | {'won' if bar['won'] else '**missed**'} |"
    yield ""


def _asked(text: str) -> str:
    first, _, rest = text.partition(" ")
    return f"{TITLES[first].removesuffix(' %')} {rest}" if first in TITLES else text


def _paper(report: Figures) -> Iterator[str]:
    part = report["a"]
    yield "## a. The paper's own setting\n"
    yield (
        f"All 403 columns standard-scaled, MiniBatch k-means with 256 centres; {part['buyers']:,} in-store "
        f"test buyers. On the 403 k-means owns the objective. The funnel is in the input here, so purity and "
        f"JS are partly circular (see f below).\n"
    )
    yield header("", "ours", "k-means", "ours - k-means", "paper: SimPersona", "paper: k-means")
    for name, apart in part["differences"].items():
        theirs = PAPER.get(name, ("-", "-"))
        figures = [cell(name, part["figures"][who][name]) for who in ("model", "k-means")]
        yield f"| {TITLES[name]} | {' | '.join(figures)} | {cell(name, apart)} | {theirs[0]} | {theirs[1]} |"
    yield ""


def _strong(report: Figures) -> Iterator[str]:
    part = report["b"]
    yield "## b. Strong baselines, and f. what purity is worth\n"
    yield (
        "In-store test buyers; CH in the balanced space (embeddings together vary half as much as the 16). "
        "Lloyd works in that space; `+ levels` has the one-hot levels of the axes appended, so it is told "
        "what is asked; MiniBatch on the 16 owns the objective of CH on the 16. The "
        "last rows use no codes.\n"
    )
    names = ["ch16", "incoherence_engagement", "incoherence_exploration", "perplexity", "purity"]
    fifths = ["fifth_engagement", "fifth_exploration"]
    yield from _table(part["figures"], [*names, *fifths])
    yield "Ours less another, the same buyers and seeds:\n"
    yield from _table(part["differences"], [name for name in names if name != "perplexity"])
    yield "![Coherence against spread](evaluation/frontier.svg)\n"
    yield "The frontier, on validation buyers (codes with 5 buyers or more, one seed, worst axis):\n"
    yield header("weight of rebuilding", "CH on the 16", "worst incoherence %", "purity %", "perplexity")
    choice = report["choice"]
    rows = {**choice["frontier"], "Lloyd k-means": choice["lloyd"]}
    for weight, figures in rows.items():
        yield (
            f"| {weight} | {figures['ch16']:.1f} | {100 * worst(figures):.1f} | "
            f"{100 * figures['purity']:.1f} | {figures['perplexity']:.0f} |"
        )
    yield ""
    for store, held_out in part["held_out"].items():
        yield f"### {store}, held out ({held_out['buyers']:,} buyers)\n"
        yield from _table(held_out["figures"], ["purity", *names[1:3], "js", "perplexity"])


def _generated(report: Figures) -> Iterator[str]:
    yield "## e. Ground truth\n"
    yield (
        f"Generated traffic ({report['setup']['generated_buyers']:,} judged buyers, eight latent types). "
        f"`posterior`: the generator's own likelihood of the events (first event, moves, times, sessions, "
        f"end), without the products; near the Bayes posterior, from below.\n"
    )
    yield header("events", "buyers", "commonest type %", "", "AMI", "accuracy %")
    for events, part in report["e"].items():
        for who in ("model", "Lloyd", "posterior"):
            ami, accuracy = ([seed[name] for seed in part[who]] for name in ("ami", "accuracy"))
            common = f"{100 * part['commonest']:.1f}"
            yield (
                f"| {events} | {part['buyers']:,} | {common} | {who} | {_seeds_cell(ami)} | "
                f"{_seeds_cell([100 * value for value in accuracy])} |"
            )
    yield ""


def _calibration(report: Figures) -> Iterator[str]:
    part = report["calibration"]
    yield "## Confidence\n"
    yield (
        f"The probability that the type forecast is the type at the end of the session; {part['rows']:,} "
        f"states of test buyers after events {', '.join(map(str, part['events']))}.\n"
    )
    yield header("seed", "accuracy %", "mean confidence %", "Brier", "of the base rate", "ECE")
    for seed, one in enumerate(part["seeds"]):
        yield (
            f"| {seed} | {100 * one['accuracy']:.1f} | {100 * one['confidence']:.1f} | {one['brier']:.3f} "
            f"| {one['brier_of_base_rate']:.3f} | {one['ece']:.3f} |"
        )
    yield "\n![Reliability](evaluation/reliability.svg)\n"


def _ablations(report: Figures) -> Iterator[str]:
    part = report["ablations"]
    yield "## Each term in and out\n"
    seeds = ", ".join(map(str, part["seeds"]))
    yield f"In-store test buyers, seeds {seeds}; compare with the spread of seeds in b.\n"
    yield from _table(part["figures"], list(next(iter(part["figures"].values()))))
    yield "![What each term does](evaluation/ablations.svg)\n"


def _scaling(report: Figures) -> Iterator[str]:
    yield "## Scaling a store never seen\n"
    yield (
        "`global`: the training stores' scale, as served. `sketch`: the mean log of each count and time "
        "among the store's validation buyers brought to that of the training stores.\n"
    )
    for store, part in report["scaling"].items():
        yield f"### {store}\n"
        yield from _table(part["figures"], list(part["differences"]))


def _how(report: Figures) -> Iterator[str]:
    yield from formulas(_FORMULAS)
    setup = report["setup"]
    yield (
        f"MIXED = {setup['mixed']}, MIXED_BUYERS = {setup['mixed_buyers']}, codes with "
        f"{setup['least_buyers']} buyers or more. The paper does not say where it draws the line; the "
        f"columns `a fifth` show another. Axes and their terciles: training/encoder/axes.py, fitted on "
        f"training buyers of all stores; purity's majority and the strata of codes are fixed on training "
        f"buyers.\n"
    )
    yield "## What this does not say\n"
    yield (
        "Six stores, filtered samples of shops; few purchases, so differences in JS and AUC are wide. "
        "Held-out stores lent nothing to the training, but the chosen weights saw their validation buyers. "
        "Trainings are shorter than the published encoder's; its own figures are in its bundle's "
        "evaluation.json."
    )


def _table(figures: Figures, names: Sequence[str]) -> Iterator[str]:
    """One row a contender, one column a measure that any of them has; ours in bold."""
    names = [name for name in names if any(name in measured for measured in figures.values())]
    yield header("", *(TITLES[name] for name in names))
    for who, measured in figures.items():
        cells = (cell(name, measured[name]) if name in measured else "" for name in names)
        yield f"| {'**ours**' if who == 'model' else who} | {' | '.join(cells)} |"
    yield ""


def _seeds_cell(values: Sequence[float]) -> str:
    """Mean (lowest to highest seed)."""
    mean = sum(values) / len(values)
    digits = 3 if mean < 1 else 1
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{spread}"
