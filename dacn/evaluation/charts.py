"""Charts of a network's predictions on a test set: confusion, reliability, per class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sklearn.metrics
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dacn.evaluation.calibration import BINS, Reliability
from dacn.evaluation.grid import DPI, FAINT, INK, SOURCE_COLOUR, TARGET_COLOUR, accuracy_text, shorten

NUMBERED_CLASSES = 20
"""With more classes the cells of a confusion matrix are too small for numbers."""
BAR_CLASSES = 30
"""With more classes the bars of a class chart are too thin to be told apart."""
COLOURS = {"source": SOURCE_COLOUR, "target": TARGET_COLOUR}


def confusion_matrix(labels: Tensor, predictions: Tensor, classes: Sequence[str], title: str) -> Figure:
    """Show how each true class is predicted, in percent of its images, whose number stands beside its name.

    Args:
        labels: true classes.
        predictions: predicted classes.
        classes: names of the classes; with more than twenty the cells have no numbers.
        title: the figure's; the accuracy stands below it.

    Shape: labels and predictions ``(N,)``.
    """
    labels, predictions = labels.cpu(), predictions.cpu()
    count = len(classes)
    percent = 100 * sklearn.metrics.confusion_matrix(labels, predictions, labels=range(count), normalize="true")
    side = min(2.4 + 0.46 * max(count, 5), 13)
    figure = Figure(figsize=(side, side), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    right = int((labels == predictions).sum())
    figure.suptitle(f"{title}\n{accuracy_text(right, len(labels))}", fontsize=10, color=INK, parse_math=False)
    axes.set_xlabel("predicted class", color=INK)
    axes.set_ylabel("true class (its images; each row sums to 100 %)", color=INK)
    if count <= 100:
        names = [shorten(name, 16) for name in classes]
        size = 8 if count <= NUMBERED_CLASSES else max(4.0, 480 / count)
        slanted: dict[str, Any] = (
            {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
        )
        axes.set_xticks(range(count), names, fontsize=size, parse_math=False, **slanted)
        images = labels.bincount(minlength=count).tolist()
        counted = [f"{name} ({number:,})" for name, number in zip(names, images, strict=True)]
        axes.set_yticks(range(count), counted, fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    if count <= NUMBERED_CLASSES:
        for row, column in zip(*percent.nonzero(), strict=True):
            value = percent[row, column]
            text = "100" if value >= 99.95 else f"{value:.1f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if value > 55 else INK)
    return figure


def reliability_diagram(domains: Mapping[str, Reliability], title: str) -> Figure:
    """Show how often predictions of each confidence are right, and below it how many there are of them.

    Args:
        domains: by ``source`` and ``target``; a panel each, with its expected calibration error (ECE).
        title: the figure's.
    """
    figure = Figure(figsize=(4.3 * len(domains), 5.2), dpi=DPI, facecolor="white")
    figure.suptitle(title, fontsize=10, color=INK, parse_math=False, y=0.985)
    panels = figure.subplots(2, len(domains), sharex=True, squeeze=False, height_ratios=[3, 1])
    figure.subplots_adjust(left=0.6 / figure.get_figwidth(), right=0.98, bottom=0.09, top=0.9, wspace=0.22, hspace=0.07)
    middle, width = (np.arange(BINS) + 0.5) / BINS * 100, 100 / BINS
    for (name, bins), (upper, lower) in zip(domains.items(), panels.T, strict=True):
        colour = COLOURS[name]
        filled = (bins.images > 0).numpy()
        right, sure = 100 * bins.accuracy.numpy()[filled], 100 * bins.confidence.numpy()[filled]
        upper.plot([0, 100], [0, 100], color=FAINT, linestyle="--", lw=1, label="as often right as sure")
        upper.bar(middle[filled], right, width, color=colour, alpha=0.45, edgecolor=colour, label="right in this bin")
        upper.plot(sure, right, "o", color=INK, markersize=3, label="mean confidence of the bin")
        upper.set_title(f"{name}: ECE {100 * bins.error:.1f} %", fontsize=9, color=INK, loc="left")
        upper.set(xlim=(0, 100), ylim=(0, 102))
        upper.set_ylabel("right, %", fontsize=8, color=FAINT)
        upper.legend(fontsize=7, frameon=False, loc="upper left")
        lower.bar(middle, bins.images.numpy(), width, color=colour, alpha=0.45, edgecolor=colour)
        lower.set_yscale("symlog", linthresh=1)
        lower.set_ylabel("images (log)", fontsize=8, color=FAINT)
        lower.set_xlabel("confidence, %", fontsize=8, color=FAINT)
        _plain(upper)
        _plain(lower)
    return figure


def class_bars(rows: Mapping[str, Mapping[str, Sequence[float]]], classes: Sequence[str], title: str) -> Figure:
    """Show percentages of each class, source beside target, one panel below the other.

    Args:
        rows: by the panel's title the values of ``source`` and ``target``, either of which may be missing, in percent.
        classes: names of the classes; of more than thirty the thirty are shown whose last panel's values are lowest.
        title: the figure's.
    """
    lowest = np.min([list(values) for values in list(rows.values())[-1].values()], axis=0)  # (K,)
    shown = np.sort(np.argsort(lowest, kind="stable")[:BAR_CLASSES])
    width = min(max(5.0, 2 + 0.55 * len(shown)), 14)
    figure = Figure(figsize=(width, 2.7 * len(rows) + 0.5), dpi=DPI, layout="constrained", facecolor="white")
    note = f"\nthe {BAR_CLASSES} of {len(classes)} classes that are lowest in the last panel"
    figure.suptitle(title + (note if len(shown) < len(classes) else ""), fontsize=10, color=INK, parse_math=False)
    names = [shorten(classes[k], 16) for k in shown]
    slanted: dict[str, Any] = (
        {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
    )
    for axes, (heading, domains) in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows.items(), strict=True):
        for number, (name, values) in enumerate(domains.items()):
            place = np.arange(len(shown)) + 0.4 * (number - (len(domains) - 1) / 2)
            axes.bar(
                place, np.asarray(values)[shown], 0.38, color=COLOURS[name], label=name, hatch="//" * number, ec="w"
            )
        axes.set_title(heading, fontsize=9, color=INK, loc="left")
        axes.set_ylabel("%", fontsize=8, color=FAINT)
        _plain(axes)
        axes.set_xticks(range(len(shown)), names, fontsize=7, parse_math=False, **slanted)
        axes.legend(fontsize=7, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=7, colors=FAINT)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
