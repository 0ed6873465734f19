"""A two-dimensional map (t-SNE) of both domains' features."""

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from dacn.evaluation.features import FeatureSample
from dacn.evaluation.grid import DPI, FAINT, INK, shorten

# Paul Tol's "muted" palette, made for colour-blind readers, and a dark grey; class names stand beside the colours.
COLOURS = (
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#555555"),
)


def tsne(features: Tensor) -> NDArray[np.float32]:
    """Return a t-SNE embedding of feature vectors; the same for the same features.

    Shape: features ``(N, F)``, N at least 4; returns ``(N, 2)``.

    Reference: van der Maaten and Hinton 2008, "Visualizing data using t-SNE".
    """
    points = features.numpy()
    spread_out = points.shape[1] > 1 and points.std(axis=0).max() > 1e-6  # else there is no principal component
    if points.shape[1] > 50 and spread_out:
        points = PCA(min(50, len(points)), random_state=0).fit_transform(points)
    embedding: NDArray[np.float32] = TSNE(
        init="pca" if spread_out else "random",
        perplexity=min(30.0, (len(points) - 1) / 3),
        max_iter=500,
        random_state=0,
    ).fit_transform(points)
    return embedding


def feature_map(sample: FeatureSample, classes: tuple[str, ...], title: str) -> Figure:
    """Show features on a plane, coloured by class, the source's as circles and the target's as triangles.

    Args:
        sample: at least four images.
        classes: names of the classes; of more than ten the ten most frequent are shown.
        title: the figure's.
    """
    frequent = torch.bincount(sample.classes, minlength=len(classes)).argsort(descending=True, stable=True)
    kept = sorted(frequent[: len(COLOURS)].tolist())
    rows = torch.isin(sample.classes, torch.tensor(kept))
    points = tsne(sample.features[rows])
    truth, of_target = sample.classes[rows].numpy(), sample.of_target[rows].numpy()
    figure = Figure(figsize=(8.4, 6.2), dpi=DPI, layout="constrained", facecolor="white")
    known = bool((sample.labels[sample.of_target] >= 0).all())
    note = "target coloured by its true class, only to show it" if known else "target coloured by the predicted class"
    figure.suptitle(f"{title}\n{note}", fontsize=10, color=INK, parse_math=False)
    axes = figure.add_subplot()
    for k, colour in zip(kept, COLOURS, strict=False):
        own = truth == k
        source, target = points[own & ~of_target], points[own & of_target]
        axes.scatter(source[:, 0], source[:, 1], s=20, marker="o", facecolors="none", edgecolors=colour, linewidths=0.9)
        axes.scatter(target[:, 0], target[:, 1], s=18, marker="^", color=colour, linewidths=0, alpha=0.8)
        if len(source):
            x, y = source[np.abs(source - np.median(source, axis=0)).sum(axis=1).argmin()]  # where there is a point
            box = {"facecolor": "white", "alpha": 0.75, "edgecolor": colour, "boxstyle": "round,pad=0.15", "lw": 0.8}
            name = shorten(classes[k], 12)
            axes.text(x, y, name, fontsize=9, color=INK, ha="center", va="center", bbox=box, parse_math=False)
    signs = [
        Line2D([], [], linestyle="", marker="o", markerfacecolor="none", color=FAINT, label="source"),
        Line2D([], [], linestyle="", marker="^", color=FAINT, label="target"),
        *(Patch(color=c, label=shorten(classes[k], 16)) for k, c in zip(kept, COLOURS, strict=False)),
    ]
    axes.legend(handles=signs, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("t-SNE: near points are alike; axes and far distances mean nothing", fontsize=8, color=FAINT)
    return figure
