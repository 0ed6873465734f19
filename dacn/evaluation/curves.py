"""Curves of what a run logged, over its steps."""

import json
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dacn.evaluation.grid import DPI, FAINT, INK

# Okabe and Ito's colours; the dashes tell lines apart without them.
LINES = [
    ("#0072B2", "-"),
    ("#D55E00", "--"),
    ("#009E73", "-."),
    ("#CC79A7", ":"),
    ("#E69F00", (0, (5, 1))),
    ("#56B4E9", (0, (3, 1, 1, 1))),
    ("#000000", (0, (1, 1))),
]
RAW_AND_AVERAGED = [
    f"{kind}/{name}_data/{name}_context" for kind in ("accuracy", "raw") for name in ("source", "target")
]
PANELS: dict[str, Callable[[str], bool]] = {
    "Losses": lambda name: name.split("/")[0] == "loss",
    "Pseudo-labels: kept share, threshold": lambda name: name in ("kept", "threshold", "oracle/pseudo_label_kept"),
    "Discriminator, %": lambda name: name.startswith("discriminator/"),
    "Accuracy, % (labels only used to report)": lambda name: (
        (name.startswith("accuracy/") and name.count("/") == 2) or name == "oracle/pseudo_label_accuracy"
    ),
    "Averaged and raw weights, accuracy, %": lambda name: name in RAW_AND_AVERAGED,
    "Calibration error (ECE), %": lambda name: name in ("ece/source", "oracle/ece_target"),
    "Proxy A-distance of the features: 0 alike, 2 told apart": lambda name: name == "a_distance",
    "Distance of the contexts' Gaussians, in their std": lambda name: (
        name.startswith("contexts/") and name.endswith("/mean")
    ),
    "Learning rate": lambda name: name == "learning_rate",
}
LIMITS = {"Proxy A-distance of the features: 0 alike, 2 told apart": (0, 2.1)}
PREFIX = "label_free/"
Series = dict[str, list[tuple[int, float]]]


def read(metrics: Path) -> Series:
    """Return steps and values of every scalar in a metrics.jsonl; NaN where a value was not finite."""
    series: Series = defaultdict(list)
    for line in metrics.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for name, value in row.items():
            if not isinstance(value, list):
                series[name].append((row["step"], math.nan if value is None else value))
    return series


def curves(metrics: Path) -> Figure:
    """Show what a run logged over its steps; a panel without data is left out.

    Args:
        metrics: a run's metrics.jsonl.
    """
    series = read(metrics)
    panels = {title: names for title, holds in PANELS.items() if (names := list(filter(holds, series)))}
    figure, grid = _new_figure(len(panels), below=1.15, above=0.35)
    for axes, (title, names) in zip(grid, panels.items(), strict=True):
        for number, name in enumerate(names):
            colour, dashes = LINES[number % len(LINES)]
            steps, values = zip(*series[name], strict=True)
            style: dict[str, Any] = {"color": colour, "linestyle": dashes, "lw": 1.3, "label": _legend(name)}
            axes.plot(steps, values, marker="o" if len(steps) <= 20 else None, markersize=3, **style)
        style_axes(axes, title)
        if title in LIMITS:
            axes.set_ylim(*LIMITS[title])
        if len(names) > 1:
            axes.legend(
                fontsize=7, frameon=False, ncols=2, columnspacing=1, loc="upper left", bbox_to_anchor=(-0.12, -0.2)
            )
    if not panels:
        figure.text(0.5, 0.5, "nothing was logged", ha="center", color=FAINT)
    return figure


def validator_curves(metrics: Path, select: str, chosen: int) -> Figure:
    """Show each label-free score over the steps, which step it would choose, and the target accuracy there.

    Args:
        metrics: a run's metrics.jsonl.
        select: name of the score that chose, or ``last``.
        chosen: the step that was selected.
    """
    series = read(metrics)
    names = [name for name in series if name.startswith(PREFIX)]
    truth = series.get("accuracy/target", [])
    figure, grid = _new_figure(len(names) + bool(truth), below=0.5, above=0.75)
    figure.suptitle(
        f"Label-free scores: the highest chooses. {_words(select)} selected step {chosen}", fontsize=10, y=0.995
    )
    accuracy = dict(truth)
    for axes, name in zip(grid, names, strict=False):
        steps, values = zip(*series[name], strict=True)
        best = max(range(len(values)), key=lambda i: (values[i], steps[i]))
        axes.plot(steps, values, color=LINES[0][0], marker="o", markersize=3, lw=1.3)
        axes.plot(steps[best], values[best], marker="*", markersize=13, color=LINES[1][0], linestyle="")
        there = f", target {accuracy[steps[best]]:.1f} %" if steps[best] in accuracy else ""
        mark = " (selects)" if name == PREFIX + select else ""
        style_axes(axes, f"{_words(name.removeprefix(PREFIX))}{mark}\n★ step {steps[best]}{there}")
    if truth:
        steps, values = zip(*truth, strict=True)
        axes = grid[-1]
        axes.plot(steps, values, color=LINES[6][0], marker="o", markersize=3, lw=1.3)
        axes.axvline(chosen, color=LINES[1][0], linestyle="--", lw=1)
        style_axes(axes, f"Target accuracy, % (oracle, not used)\nbest {max(values):.1f} %; dashed: selected")
    return figure


def _new_figure(panels: int, below: float, above: float) -> tuple[Figure, list[Axes]]:
    """Return a figure and as many panels, three in a row, with room below and above each, in inches."""
    columns = min(panels, 3) or 1
    rows = math.ceil(panels / columns) or 1
    width, height = 4.4, 2.4 + below + above
    figure = Figure(figsize=(width * columns, height * rows), dpi=DPI, facecolor="white")
    grid = []
    for index in range(panels):
        row, column = divmod(index, columns)
        left, bottom = (column * width + 0.6) / (width * columns), ((rows - 1 - row) * height + below) / (height * rows)
        grid.append(figure.add_axes((left, bottom, (width - 0.8) / (width * columns), 2.4 / (height * rows))))
    return figure, grid


def style_axes(axes: Axes, title: str) -> None:
    """Give a panel of curves over steps its title and its looks."""
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_xlabel("step", fontsize=8, color=FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.tick_params(labelsize=7, colors=FAINT)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(name: str) -> str:
    words = _words(name.removeprefix("accuracy/").removeprefix("ece/"))
    if name.startswith("oracle/"):
        words = words.removeprefix("oracle/").removeprefix("ece ").replace("pseudo label accuracy", "pseudo-labels")
        return f"{words} (oracle, not used)"
    if name.startswith("contexts/"):
        kind, *context = words.split("/")[1:-1]
        return "contexts from each other" if kind == "apart" else f"{'/'.join(context)} from where it began"
    return words.replace("raw/", "raw: ", 1)


def _words(name: str) -> str:
    return name.replace("_", " ")
