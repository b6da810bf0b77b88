"""The report's plots as SVG: text stays text, no font is embedded, the same figures give the same bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import matplotlib

from feature_store.workspace import write_whole

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from training.evaluation.run_measures import AXES

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "simpersona",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
}
_OURS, _THEIRS = "#1b6ca8", "#b0603a"


def write_plots(report: dict[str, Any], folder: Path) -> None:
    """frontier.svg, reliability.svg and ablations.svg, as far as the report has their parts."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {"b": ("frontier", _frontier), "calibration": ("reliability", _reliability)}
    plots["ablations"] = ("ablations", _ablations)
    for name, draw in (plot for part, plot in plots.items() if part in report):
        with plt.rc_context(_STYLE):
            figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
            draw(axes, report)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None})
            plt.close(figure)
        write_whole(folder / f"{name}.svg", buffer.getvalue())


def _frontier(axes: Axes, report: dict[str, Any]) -> None:
    choice = report["choice"]
    points = [
        (100 * worst(figures), figures["ch16"], f"rebuilding {scale}")
        for scale, figures in choice["frontier"].items()
    ]
    axes.plot([x for x, _, _ in points], [y for _, y, _ in points], "o-", color=_OURS, label="VQ-VAE")
    lloyd = choice["lloyd"]
    axes.plot([100 * worst(lloyd)], [lloyd["ch16"]], "s", color=_THEIRS, label="Lloyd k-means")
    for x, y, name in points:
        axes.annotate(name, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.axvline(0.5, color="grey", linestyle="--", linewidth=1)
    axes.set(
        xlabel="incoherent codes, worst axis, % (dashed: 0.5)",
        ylabel="Calinski-Harabasz on the 16",
        title="Coherence against spread, validation buyers",
    )
    axes.legend(frameon=False)


def _reliability(axes: Axes, report: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    for seed, of_seed in enumerate(report["calibration"]["seeds"]):
        curve = of_seed["curve"]
        axes.plot(curve["said"], curve["was"], "o-", color=_OURS, alpha=0.5, label=f"seed {seed}")
    axes.set(
        xlabel="confidence said",
        ylabel="share right",
        xlim=(0, 1),
        ylim=(0, 1),
        title="Type at the end of the session, forecast at events 3, 5 and 10",
    )
    axes.legend(frameon=False)


def _ablations(axes: Axes, report: dict[str, Any]) -> None:
    figures = report["ablations"]["figures"]
    names = list(figures)[::-1]
    axes.barh(names, [100 * worst_mean(figures[name]) for name in names], color=_OURS)
    axes.set(xlabel="incoherent codes, worst axis, %", title="What each term does")


def worst(figures: dict[str, float]) -> float:
    """Incoherence on the worst of the axes."""
    return float(max(figures[f"incoherence_{axis}"] for axis in AXES))


def worst_mean(figures: dict[str, Any]) -> float:
    """The same of figures with seeds."""
    return float(max(figures[f"incoherence_{axis}"]["mean"] for axis in AXES))
