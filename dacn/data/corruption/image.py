"""What the corruptions share: the type of an image, moving it, and a field of clouds."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]


def smear(image: Image, radius: int, sigma: float, angle: float) -> Image:
    """Average an image with itself along a line, ever more faintly: weights of half a Gaussian.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``; beyond the border it goes on as it ends there.
        radius: half the length of the line, in pixels.
        sigma: of the Gaussian, in pixels.
        angle: of the line, in degrees.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    rows = np.round(steps * np.sin(np.deg2rad(angle))).astype(int) + 2 * radius
    columns = np.round(steps * np.cos(np.deg2rad(angle))).astype(int) + 2 * radius
    height, width = image.shape[:2]
    margin = [(2 * radius, 2 * radius)] * 2 + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, margin, mode="edge")
    moved = (padded[row : row + height, column : column + width] for row, column in zip(rows, columns, strict=True))
    total: Image = sum(
        (weight * shifted for weight, shifted in zip(weights / weights.sum(), moved, strict=True)),
        np.zeros(image.shape),
    )
    return total


def zoom(image: Image, factor: float) -> Image:
    """Enlarge an image about its centre, linearly between the pixels.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``.
        factor: 1 or more.
    """
    height, width = image.shape[:2]
    channels = image.reshape(height, width, -1).transpose(2, 0, 1)
    enlarged: Image = _zooming(height, factor) @ channels @ _zooming(width, factor).T  # (C, H, W)
    return enlarged.transpose(1, 2, 0).reshape(image.shape)


@lru_cache(maxsize=128)
def _zooming(side: int, factor: float) -> Image:
    """Return the matrix that reads ``side`` pixels closer to the centre: ``(side, side)``."""
    middle = (side - 1) / 2
    places = (np.arange(side) - middle) / factor + middle
    below = np.clip(np.floor(places).astype(int), 0, side - 2)
    share = places - below
    matrix = np.zeros((side, side))
    matrix[np.arange(side), below] = 1 - share
    matrix[np.arange(side), below + 1] = share
    return matrix


def clouds(side: int, decay: float, random: np.random.Generator) -> Image:
    """Return a plasma fractal from 0 to 1, made by the diamond-square algorithm on a torus.

    Args:
        side: a power of two at least as large as what is needed is used, and cut.
        decay: its square is by how much the randomness falls from one scale to the next, finer one: larger is smoother.
        random: draws the heights.

    Shape: ``(side, side)``.
    """
    size = 1 << (side - 1).bit_length()
    field = np.zeros((size, size))
    step, amplitude = size, 1.0
    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        right, below = np.roll(corners, -1, 1), np.roll(corners, -1, 0)
        centres = (corners + right + below + np.roll(right, -1, 0)) / 4
        centres = centres + amplitude * random.uniform(-1, 1, centres.shape)
        field[half::step, half::step] = centres
        beside = (corners + right + centres + np.roll(centres, 1, 0)) / 4
        field[::step, half::step] = beside + amplitude * random.uniform(-1, 1, beside.shape)
        beside = (corners + below + centres + np.roll(centres, 1, 1)) / 4
        field[half::step, ::step] = beside + amplitude * random.uniform(-1, 1, beside.shape)
        step, amplitude = half, amplitude / decay**2
    field = field[:side, :side] - field[:side, :side].min()
    scaled: Image = field / field.max()
    return scaled
