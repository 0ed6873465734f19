"""Training curves of each row's runs, over their steps."""

import json
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dacn.evaluation.curves import LINES, style_axes
from dacn.evaluation.grid import DPI, shorten
from dacn.report.rows import Row
from dacn.report.runs import Run

Series = dict[int, float]
"""Value by step."""

PANELS: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "Target accuracy, % (labels only used to report)": lambda values: values.get(
        "accuracy/target_data/target_context", values.get("accuracy/target_data/unknown_context")
    ),
    "Source accuracy, %": lambda values: values.get(
        "accuracy/source_data/source_context", values.get("accuracy/source_data/unknown_context")
    ),
    "Mutual information of target predictions (no labels)": lambda values: values.get("label_free/mutual_information"),
}


def row_curves(rows: Sequence[Row]) -> Figure | None:
    """Show each row's mean over its seeds as a line, and its runs as faint ones; None where nothing was logged."""
    drawn = {title: [[_series(run, of) for run in row.runs] for row in rows] for title, of in PANELS.items()}
    panels = {title: series for title, series in drawn.items() if any(any(runs) for runs in series)}
    if not panels:
        return None
    figure = Figure(
        figsize=(4.4 * len(panels), 3.2 + 0.2 * len(rows)), dpi=DPI, layout="constrained", facecolor="white"
    )
    for index, (title, series) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for number, runs in enumerate(series):
            _draw(axes, runs, number)
        style_axes(axes, title)
    handles, _ = figure.axes[0].get_legend_handles_labels()
    names = [shorten(row.name, 80) for row in rows]
    legend = figure.legend(handles, names, loc="outside lower left", fontsize=8, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _draw(axes: Axes, runs: list[Series], number: int) -> None:
    """Draw one row's runs, and their mean at the steps that all of them have."""
    colour, dashes = LINES[number % len(LINES)]
    logged = [series for series in runs if series]
    if len(logged) > 1:
        for series in logged:
            axes.plot(list(series), list(series.values()), color=colour, linewidth=0.7, alpha=0.35)
    steps = sorted(set.intersection(*map(set, logged))) if logged else []
    means = [fmean(series[step] for series in logged) for step in steps]
    marker = "o" if len(steps) <= 20 else None
    axes.plot(steps, means, color=colour, linestyle=dashes, marker=marker, markersize=3, lw=1.5, label=str(number))


def _series(run: Run, of: Callable[[Mapping[str, Any]], float | None]) -> Series:
    file = run.folder / "metrics.jsonl"
    found: Series = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        row = json.loads(line)
        value = of(row)
        if value is not None:
            found[int(row["step"])] = value
    return found
