"""Figures made of many small images, each shown by whole pixels."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

DPI = 128  # a power of two: so many pixels / DPI * DPI are so many pixels again
CELL = 96
"""Pixels of an image's side in a figure, at least: room for a class name."""

INK, FAINT = "#222222", "#666666"
SOURCE_COLOUR, TARGET_COLOUR = "#0072B2", "#E69F00"
"""Blue and orange of Okabe and Ito's palette, the domains' in every figure."""
WRONG = "#D55E00"
"""Vermilion of Okabe and Ito's palette, which every kind of colour vision tells from the greys."""


class ImageCanvas:
    """A figure to place images and texts on, in pixels from its top left corner.

    Args:
        width, height: of the figure, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[])
        self.axes.set(xlim=(0, width), ylim=(height, 0))

    def image(self, x: int, y: int, image: Tensor) -> None:
        """Show an image ``(3, H, W)`` with its top left corner at (x, y)."""
        height, width = image.shape[1:]
        pixels = image.permute(1, 2, 0).cpu().numpy()  # (H, W, 3)
        self.axes.imshow(pixels, extent=(x, x + width, y + height, y), interpolation="nearest", aspect="auto")

    def text(self, x: float, y: float, text: str, **options: Any) -> None:
        """Write a text, by default with its left upper corner at (x, y); options are matplotlib's."""
        style: dict[str, Any] = {"fontsize": 8, "color": INK, "va": "top", "parse_math": False}
        self.axes.text(x, y, text, **(style | options))

    def frame(self, x: int, y: int, image: Tensor, colour: str) -> None:
        """Draw a frame around an image that stands at (x, y)."""
        height, width = image.shape[1:]
        self.axes.add_patch(
            Rectangle((x - 2, y - 2), width + 4, height + 4, fill=False, edgecolor=colour, linewidth=2.2)
        )


def enlarge(images: Tensor) -> Tensor:
    """Bring images to a side of `CELL` pixels, large ones by averaging, or to more, small ones by repeating pixels.

    Shape: ``(N, 3, H, W)`` uint8 to uint8.
    """
    side = max(images.shape[2:])
    if side <= CELL:
        times = math.ceil(CELL / side)
        return images.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)
    size = [max(1, round(s * CELL / side)) for s in images.shape[2:]]
    return _averaged(images, size)


def thumbnails(images: Tensor, side: int = 32) -> Tensor:
    """Bring images to squares of ``side`` pixels: ``(N, 3, H, W)`` uint8 to ``(N, 3, side, side)`` uint8."""
    if images.shape[2:] == (side, side):
        return images
    return _averaged(images, [side, side])


def _averaged(images: Tensor, size: list[int]) -> Tensor:
    parts = torch.split(images, 64)  # as floats, a thousand photographs take more than training them does
    scaled = [F.interpolate(part.float(), size, mode="bilinear", antialias=True) for part in parts]
    return torch.cat([part.round().clamp(0, 255).byte() for part in scaled])


def shorten(name: str, length: int) -> str:
    """Cut a name that is longer than ``length``.

    >>> shorten("elephant", 10), shorten("hippopotamus", 10)
    ('elephant', 'hippopota…')
    """
    return name if len(name) <= length else f"{name[: length - 1]}…"


def accuracy_text(right: int, count: int) -> str:
    """Return how many are right, in words."""
    return f"{100 * right / count:.1f} % of {count:,} right"


def column_headings(canvas: ImageCanvas, y: int, names: Sequence[str], left: int, pitch: int, width: int) -> None:
    """Write a name above each column of images, at its centre."""
    for column, name in enumerate(names):
        canvas.text(left + column * pitch + width / 2, y, shorten(name, 11), ha="center", va="bottom")
