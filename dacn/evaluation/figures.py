"""Figures of a pair, of its views and of what a network made of it. `save` writes what the other functions return."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sklearn.metrics
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from dacn.batch import Views
from dacn.data.domain import DomainPair
from dacn.data.images import Images, fetch
from dacn.evaluation.grid import DPI, FAINT, INK, WRONG, Sheet, accuracy_text, column_headings, enlarge, shorten
from dacn.evaluation.validators import VALIDATORS

COLUMNS = 10
VIEWS = ("source weak", "source strong", "target weak", "target strong")
MARGIN, GAP = 16, 6  # pixels
NUMBERED_CLASSES = 20
"""With more classes the cells of a confusion matrix are too small for numbers."""

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
PANELS: dict[str, Callable[[str], bool]] = {
    "Losses": lambda name: name.split("/")[0] == "loss",
    "Pseudo-labels: kept share, threshold": lambda name: name in ("kept", "threshold", "oracle/pseudo_label_kept"),
    "Discriminator, %": lambda name: name.startswith("discriminator/"),
    "Accuracy, % (labels only used to report)": lambda name: name.startswith(("accuracy/", "oracle/pseudo_label_acc")),
    "Label-free scores of the target": lambda name: name.split("/")[-1] in VALIDATORS,
    "Learning rate": lambda name: name == "learning_rate",
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, to a temporary name first; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.partial")
    figure.savefig(temporary, format="png")
    temporary.replace(path)


def pair_grid(pair: DomainPair, rows: int = 2, seed: int = 0) -> Figure:
    """Show random training images of both domains: the source's with a class to each column, the target's as they come.

    Args:
        pair: with more than ten classes, ten random ones are shown.
        rows: of images of each domain.
        seed: of what is shown.
    """
    generator = torch.Generator().manual_seed(seed)
    assert pair.source.labels is not None
    labels = pair.source.labels.cpu()
    present = torch.unique(labels)
    classes = present[torch.randperm(len(present), generator=generator)[:COLUMNS]].sort().values.tolist()
    chosen = torch.randperm(len(pair.target), generator=generator)[: rows * len(classes)]
    target = enlarge(fetch(pair.target.images, chosen).cpu())
    height, width = target.shape[2] + GAP, target.shape[3] + GAP
    source_top, target_top = 94, 94 + rows * height + 46
    sheet = Sheet(max(2 * MARGIN + len(classes) * width - GAP, 480), target_top + rows * height - GAP + MARGIN)
    sheet.text(MARGIN, 12, f"The pair {pair.name}", fontsize=11, weight="bold")
    sheet.text(MARGIN, source_top - 52, f"Source {pair.source.name}: labelled")
    sheet.text(MARGIN, target_top - 28, f"Target {pair.target.name}: no labels")
    column_headings(sheet, source_top - 4, [pair.classes[k] for k in classes], MARGIN, width, width - GAP)
    for column, k in enumerate(classes):
        own = (labels == k).nonzero().flatten()
        own = own[torch.randperm(len(own), generator=generator)[:rows]]
        for row, image in enumerate(enlarge(fetch(pair.source.images, own))):
            sheet.image(MARGIN + column * width, source_top + row * height, image)
    for index, image in enumerate(target):
        row, column = divmod(index, len(classes))
        sheet.image(MARGIN + column * width, target_top + row * height, image)
    return sheet.figure


def views_grid(source: Views, target: Views) -> Tensor:
    """Tile the first ten images of a batch as training sees them: source weak and strong, target weak and strong.

    A domain that is not looked at has no rows.

    Shape: returns ``(3, H', W')`` uint8, four rows with two white pixels around each image.
    """
    rows = torch.stack(list(_shown(source, target).values()))  # (4, N, 3, H, W)
    framed = torch.nn.functional.pad(rows, (2, 2, 2, 2), value=255)
    return framed.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def views_figure(source: Views, target: Views) -> Figure:
    """Show the same as `views_grid`, with the rows named."""
    views = {name: enlarge(pixels) for name, pixels in _shown(source, target).items()}  # (N, 3, H, W) each
    count, _, height, width = next(iter(views.values())).shape
    left, top = 130, 48
    sheet = Sheet(left + count * (width + GAP) + MARGIN, top + len(views) * (height + GAP) + MARGIN)
    sheet.text(MARGIN, 12, "What training sees", fontsize=11, weight="bold")
    for row, (name, images) in enumerate(views.items()):
        y = top + row * (height + GAP)
        sheet.text(MARGIN, y + height / 2, name, va="center")
        for column, image in enumerate(images):
            sheet.image(left + column * (width + GAP), y, image)
    return sheet.figure


def predictions_grid(
    images: Images,
    labels: Tensor | None,
    predictions: Tensor,
    confidences: Tensor,
    classes: Sequence[str],
    title: str,
    rows: int = 4,
    seed: int = 0,
) -> Figure:
    """Show random images with their predicted class and its probability; wrong ones framed, crossed, with the truth.

    Args:
        images: what was predicted.
        labels: true classes, or None where they are unknown.
        predictions: predicted classes.
        confidences: probability of the predicted class, 0 to 1.
        classes: names of the classes.
        title: the figure's.
        rows: of ten images.
        seed: of what is shown.

    Shape: images ``(N, 3, H, W)`` uint8; labels, predictions and confidences ``(N,)``.
    """
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[: rows * COLUMNS]
    shown = enlarge(fetch(images, chosen).cpu())  # (n, 3, h, w)
    predictions, confidences = predictions.cpu(), confidences.cpu()
    between = " " if max(map(len, classes)) <= 3 else "\n"
    columns, top, caption = min(COLUMNS, len(shown)), 80, 50 if between == " " else 68
    height, width = shown.shape[2] + caption, shown.shape[3] + 2 * GAP
    sheet = Sheet(max(2 * MARGIN + columns * width, 480), top + math.ceil(len(shown) / columns) * height + MARGIN // 2)
    sheet.text(MARGIN, 12, title, fontsize=11, weight="bold")
    if labels is not None:
        labels = labels.cpu()
        right = int((labels == predictions).sum())
        sheet.text(MARGIN, 44, f"{accuracy_text(right, len(images))}; wrong: framed, ✗ predicted, below it the truth")
    for index, (row, image) in enumerate(zip(chosen.tolist(), shown, strict=True)):
        x, y = MARGIN + GAP + index % columns * width, top + index // columns * height
        below = y + image.shape[1] + 5
        predicted = f"{shorten(classes[int(predictions[row])], 11)}{between}({100 * float(confidences[row]):.0f} %)"
        sheet.image(x, y, image)
        if labels is None or labels[row] == predictions[row]:
            sheet.text(x, below, predicted, fontsize=7)
        else:
            truth = f"is {shorten(classes[int(labels[row])], 11)}"
            sheet.frame(x, y, image, WRONG)
            sheet.text(x, below, f"✗ {predicted}", fontsize=7, color=WRONG, weight="bold")
            sheet.text(x, y + height - 28, truth, fontsize=7)
    return sheet.figure


def confusion_matrix(labels: Tensor, predictions: Tensor, classes: Sequence[str], title: str) -> Figure:
    """Show how each true class is predicted, in percent of its images.

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
    axes.set_ylabel("true class (each row sums to 100 %)", color=INK)
    if count <= 100:
        names = [shorten(name, 16) for name in classes]
        size = 8 if count <= NUMBERED_CLASSES else max(4.0, 480 / count)
        slanted: dict[str, Any] = (
            {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
        )
        axes.set_xticks(range(count), names, fontsize=size, parse_math=False, **slanted)
        axes.set_yticks(range(count), names, fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    if count <= NUMBERED_CLASSES:
        for row, column in zip(*percent.nonzero(), strict=True):
            value = percent[row, column]
            text = "100" if value >= 99.95 else f"{value:.1f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if value > 55 else INK)
    return figure


def curves(metrics: Path) -> Figure:
    """Show what a run logged over its steps; a panel without data is left out.

    Args:
        metrics: a run's metrics.jsonl.
    """
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for line in metrics.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for name, value in row.items():
            if not isinstance(value, list):
                series[name].append((row["step"], math.nan if value is None else value))
    panels = {title: names for title, holds in PANELS.items() if (names := list(filter(holds, series)))}
    columns = min(len(panels), 3) or 1
    height = math.ceil(len(panels) / columns) or 1
    figure = Figure(figsize=(4.4 * columns, 3.4 * height), dpi=DPI, layout="constrained", facecolor="white")
    for index, (title, names) in enumerate(panels.items()):
        axes = figure.add_subplot(height, columns, index + 1)
        for number, name in enumerate(names):
            colour, dashes = LINES[number % len(LINES)]
            steps, values = zip(*series[name], strict=True)
            marker = "o" if len(steps) <= 20 else None
            axes.plot(
                steps, values, color=colour, linestyle=dashes, marker=marker, markersize=3, lw=1.3, label=_legend(name)
            )
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.set_xlabel("step", fontsize=8, color=FAINT)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.tick_params(labelsize=7, colors=FAINT)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            axes.legend(fontsize=7, frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(-0.05, -0.2))
    if not panels:
        figure.text(0.5, 0.5, "nothing was logged", ha="center", color=FAINT)
    return figure


def _legend(name: str) -> str:
    words = name.removeprefix("accuracy/").replace("_", " ")
    return f"{words.removeprefix('oracle/')} (oracle, not used)" if name.startswith("oracle/") else words


def _shown(source: Views, target: Views) -> dict[str, Tensor]:
    """Return the first images of each view that has any, as many of each, as the bytes that they were made from."""
    views = {name: view for name, view in zip(VIEWS, (*source, *target), strict=True) if len(view)}
    count = min(COLUMNS, *map(len, views.values()))
    return {name: (v[:count].float().cpu() * 128 + 127.5).round().clamp(0, 255).byte() for name, v in views.items()}
