"""Blur. Images are float64 RGB from 0 to 1, ``(H, W, 3)``, and may leave that range: the caller clips."""

import numpy as np
from scipy.ndimage import convolve, gaussian_filter

from dacn.data.corruption.image import Image, smear, zoom


def defocus_blur(image: Image, random: np.random.Generator, radius: float, softness: float) -> Image:
    """Spread every pixel over a disk with soft edges: a lens out of focus."""
    reach = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x**2 + y**2 <= radius**2).astype(float)
    kernel = gaussian_filter(disk / disk.sum(), softness, mode="constant", radius=1)
    blurred: Image = convolve(image, (kernel / kernel.sum())[..., None], mode="mirror")
    return blurred


def glass_blur(image: Image, random: np.random.Generator, sigma: float, reach: int, rounds: int) -> Image:
    """Let every pixel show one up to ``reach`` above and left of it, between two blurs: frosted glass.

    The paper swaps pixels; its script, in effect, copies them, and so does this.
    """
    blurred = _blur(image, sigma)
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    inside = (np.minimum(rows, columns) > reach) & (rows <= height - reach) & (columns <= width - reach)
    for _ in range(rounds):
        up, left = random.integers(0, reach + 1, (2, height, width)) * inside
        blurred = blurred[rows - up, columns - left]
    return _blur(blurred, sigma)


def motion_blur(image: Image, random: np.random.Generator, radius: int, sigma: float) -> Image:
    """Smear along a line within 45 degrees of the horizontal: a camera that moved."""
    return smear(image, radius, sigma, random.uniform(-45, 45))


def zoom_blur(image: Image, random: np.random.Generator, most: float) -> Image:
    """Average enlargements by up to ``most``, a hundredth apart: a camera that came closer."""
    factors = np.arange(1, most, 0.01)
    total: Image = image + sum((zoom(image, float(factor)) for factor in factors), np.zeros(image.shape))
    return total / (len(factors) + 1)


def _blur(image: Image, sigma: float) -> Image:
    blurred: Image = gaussian_filter(image, (sigma, sigma, 0), mode="nearest")
    return blurred
