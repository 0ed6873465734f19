"""Noise. Images are float64 RGB from 0 to 1, ``(H, W, 3)``, and may leave that range: the caller clips."""

import numpy as np

from dacn.data.corruption.image import Image


def gaussian_noise(image: Image, random: np.random.Generator, scale: float) -> Image:
    """Add normal noise: low light."""
    return image + random.normal(0, scale, image.shape)


def shot_noise(image: Image, random: np.random.Generator, photons: float) -> Image:
    """Count photons: so many reach a white pixel."""
    return random.poisson(image * photons) / photons


def impulse_noise(image: Image, random: np.random.Generator, share: float) -> Image:
    """Set a share of the values to black or white, each channel for itself."""
    hit = random.random(image.shape) < share
    return np.where(hit, random.integers(0, 2, image.shape), image)
