"""Figures of a pair, of its views and of a network's predictions. `save` writes what the other functions return."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from dacn.batch import Views
from dacn.data.domain import DomainPair
from dacn.data.read.images import Images, fetch
from dacn.evaluation.grid import FAINT, WRONG, ImageCanvas, accuracy_text, column_headings, enlarge, shorten

COLUMNS = 10
VIEWS = ("source weak", "source strong", "target weak", "target strong")
BELOW = dict(zip(VIEWS, ("its label", "prediction", "pseudo-label,\n✓ kept, ✗ not", "prediction"), strict=True))
"""What a run writes below the images of each row of views."""
MARGIN, GAP = 16, 6  # pixels
TITLE = 13  # pixels of a letter of a title, about
CAPTION = 20  # pixels of a line of text below an image


def draw(figure: Figure) -> Tensor:
    """Return the figure's pixels, ``(3, H, W)`` uint8."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return torch.from_numpy(np.array(canvas.buffer_rgba())[..., :3]).permute(2, 0, 1)


def save(figure: Figure, path: Path) -> Tensor:
    """Write a figure as PNG, to a temporary name first, and return its pixels as `draw` does; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.partial")
    pixels = draw(figure)
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(temporary, format="png")
    temporary.replace(path)
    return pixels


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
    canvas = ImageCanvas(max(2 * MARGIN + len(classes) * width - GAP, 480), target_top + rows * height - GAP + MARGIN)
    canvas.text(MARGIN, 12, f"The pair {pair.name}", fontsize=11, weight="bold")
    canvas.text(MARGIN, source_top - 52, f"Source {pair.source.name}: labelled")
    canvas.text(MARGIN, target_top - 28, f"Target {pair.target.name}: no labels")
    column_headings(canvas, source_top - 4, [pair.classes[k] for k in classes], MARGIN, width, width - GAP)
    for column, k in enumerate(classes):
        own = (labels == k).nonzero().flatten()
        own = own[torch.randperm(len(own), generator=generator)[:rows]]
        for row, image in enumerate(enlarge(fetch(pair.source.images, own))):
            canvas.image(MARGIN + column * width, source_top + row * height, image)
    for index, image in enumerate(target):
        row, column = divmod(index, len(classes))
        canvas.image(MARGIN + column * width, target_top + row * height, image)
    return canvas.figure


def views_figure(source: Views, target: Views, captions: Mapping[str, Sequence[str]] | None = None) -> Figure:
    """Show the first ten images of a batch as training sees them: source weak and strong, target weak and strong.

    A domain that is not looked at has no rows.

    Args:
        source, target: the views.
        captions: what is written below the images of a row, by the names of `VIEWS`; nothing by default.
    """
    views = {name: enlarge(pixels) for name, pixels in first_images(source, target).items()}  # (N, 3, H, W) each
    captions = captions or {}
    count, _, height, width = next(iter(views.values())).shape
    lines = max((caption.count("\n") + 1 for row in captions.values() for caption in row), default=0)
    left, top, pitch = 150, 48, height + GAP + CAPTION * lines
    canvas = ImageCanvas(left + count * (width + GAP) + MARGIN, top + len(views) * pitch + MARGIN)
    canvas.text(MARGIN, 12, "What training sees", fontsize=11, weight="bold")
    for row, (name, images) in enumerate(views.items()):
        y = top + row * pitch
        canvas.text(MARGIN, y + height / 2, name, va="bottom")
        if name in captions:
            canvas.text(MARGIN, y + height / 2 + 6, f"below: {BELOW[name]}", fontsize=7, color=FAINT)
        for column, image in enumerate(images):
            canvas.image(left + column * (width + GAP), y, image)
            if name in captions:
                canvas.text(left + column * (width + GAP), y + height + 3, captions[name][column], fontsize=7)
    return canvas.figure


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
    note = ""
    if labels is not None:
        right = int((labels.cpu() == predictions.cpu()).sum())
        note = f"{accuracy_text(right, len(images))}; wrong: framed, ✗ predicted, below it the truth"
    return _answers(images, labels, predictions, confidences, classes, title, note, chosen)


def mistakes_grid(
    images: Images,
    labels: Tensor,
    predictions: Tensor,
    confidences: Tensor,
    classes: Sequence[str],
    title: str,
    rows: int = 4,
) -> Figure:
    """Show the wrong predictions that were the surest, the surest first.

    Args are those of `predictions_grid`.
    """
    wrong = (labels.cpu() != predictions.cpu()).nonzero().flatten()
    order = confidences.cpu()[wrong].argsort(descending=True, stable=True)
    chosen = wrong[order][: rows * COLUMNS]
    note = f"{len(wrong):,} of {len(images):,} wrong" + (
        f", the surest {len(chosen)}" if len(wrong) > len(chosen) else ""
    )
    note += ": ✗ predicted, below it the truth" if len(wrong) else ""
    return _answers(images, labels, predictions, confidences, classes, title, note, chosen)


def _answers(
    images: Images,
    labels: Tensor | None,
    predictions: Tensor,
    confidences: Tensor,
    classes: Sequence[str],
    title: str,
    note: str,
    chosen: Tensor,
) -> Figure:
    """Show the ``chosen`` images, ``(n,)`` indices, each with the answer that it was given."""
    shown = enlarge(fetch(images, chosen).cpu())  # (n, 3, h, w)
    predictions, confidences = predictions.cpu(), confidences.cpu()
    labels = None if labels is None else labels.cpu()
    between = " " if max(map(len, classes)) <= 3 else "\n"
    columns, top, caption = max(1, min(COLUMNS, len(shown))), 80, 50 if between == " " else 68
    height, width = shown.shape[2] + caption, shown.shape[3] + 2 * GAP
    canvas = ImageCanvas(
        max(2 * MARGIN + columns * width, TITLE * len(title), 480),
        top + math.ceil(len(shown) / columns) * height + MARGIN // 2,
    )
    canvas.text(MARGIN, 12, title, fontsize=11, weight="bold")
    if note:
        canvas.text(MARGIN, 44, note)
    for index, (row, image) in enumerate(zip(chosen.tolist(), shown, strict=True)):
        x, y = MARGIN + GAP + index % columns * width, top + index // columns * height
        below = y + image.shape[1] + 5
        predicted = f"{shorten(classes[int(predictions[row])], 11)}{between}({100 * float(confidences[row]):.0f} %)"
        canvas.image(x, y, image)
        if labels is None or labels[row] == predictions[row]:
            canvas.text(x, below, predicted, fontsize=7)
        else:
            truth = f"is {shorten(classes[int(labels[row])], 11)}"
            canvas.frame(x, y, image, WRONG)
            canvas.text(x, below, f"✗ {predicted}", fontsize=7, color=WRONG, weight="bold")
            canvas.text(x, y + height - 28, truth, fontsize=7)
    return canvas.figure


def first_images(source: Views, target: Views) -> dict[str, Tensor]:
    """Return the first images of each view that has any, as many of each, as the bytes that they were made from.

    Shape: returns ``(N, 3, H, W)`` uint8 by the names of `VIEWS`, N up to ten.
    """
    views = {name: view for name, view in zip(VIEWS, (*source, *target), strict=True) if len(view)}
    count = min(COLUMNS, *map(len, views.values()))
    return {name: (v[:count].float().cpu() * 128 + 127.5).round().clamp(0, 255).byte() for name, v in views.items()}
