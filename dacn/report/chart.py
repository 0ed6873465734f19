"""Rows as a bar chart."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from dacn.evaluation.grid import DPI, FAINT, INK, shorten
from dacn.report.rows import SELECTED, Row

BAR, ERROR, DOT = "#9EC9E6", "#0072B2", "#222222"


def bar_chart(rows: Sequence[Row]) -> Figure:
    """Show the selected checkpoint's test accuracy: a bar for the mean, its standard deviation, a dot for each seed.

    Args:
        rows: of adaptations, of which the target's accuracy is shown, or of classifications. Without labels there is
            nothing to show, and the figure says so.
    """
    longest = min(max((len(row.name) for row in rows), default=0), 60)
    figure = Figure(
        figsize=(4.8 + 0.065 * longest, 1.2 + 0.42 * max(len(rows), 1)),
        dpi=DPI, layout="constrained", facecolor="white",
    )  # fmt: skip
    spreads = [row.spread(*SELECTED) for row in rows]
    if not any(spreads):
        figure.text(0.5, 0.5, "no run has target labels to report on", ha="center", color=FAINT)
        return figure
    axes = figure.add_subplot()
    for place, (row, spread) in enumerate(zip(rows, spreads, strict=True)):
        if spread is None:
            axes.text(1, place, "no target labels", va="center", fontsize=8, color=FAINT)
            continue
        values = list(row.by_seed(*SELECTED).values())
        axes.barh(place, spread.mean, height=0.62, color=BAR)
        if spread.std is not None:
            axes.errorbar(spread.mean, place, xerr=spread.std, color=ERROR, capsize=3, lw=1.4)
        axes.plot(values, [place + 0.2] * len(values), ".", color=DOT, markersize=4)
        right = max(spread.mean + (spread.std or 0), *values) + 1
        axes.text(right, place, f"{spread.mean:.1f}", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(rows)), [shorten(row.name, 60) for row in rows], fontsize=8, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first row on top, as much air around as between bars
    axes.set_xlim(0, 108)
    axes.set_xticks(range(0, 101, 20))
    axes.tick_params(length=0, labelsize=8, colors=INK)
    axes.set_axisbelow(True)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(FAINT)
    # Where nothing is measured on a source, the rows classify one set of images and adapt to none.
    adapted = any(row.spread("source", "selected") for row in rows)
    what = "target accuracy" if adapted else "accuracy"
    axes.set_xlabel(f"{what}, %: mean ± standard deviation, dots are seeds", fontsize=8, color=FAINT)
    return figure
