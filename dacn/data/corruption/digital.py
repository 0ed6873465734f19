"""Digital effects. Images are float64 RGB from 0 to 1, ``(H, W, 3)``, and may leave that range: the caller clips."""

import io

import numpy as np
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter, map_coordinates

from dacn.data.corruption.image import Image


def contrast(image: Image, random: np.random.Generator, left: float) -> Image:
    """Move every value towards the mean of its channel."""
    mean: Image = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * left + mean


def elastic_transform(image: Image, random: np.random.Generator, strength: float, sigma: float, tilt: float) -> Image:
    """Pull the image as a rubber sheet: an affine map of three points, then smooth displacements.

    ``strength``, ``sigma`` and ``tilt`` are shares of the image's side.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    middle, third = np.array([height // 2, width // 2], dtype=float), side // 3
    corners = middle + third * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = corners + random.uniform(-tilt * side, tilt * side, corners.shape)
    back = np.linalg.solve(np.c_[moved, np.ones(3)], corners)  # (3, 2): where a pixel of the result comes from
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    for axis in (rows, columns):
        axis += strength * side * _smooth(random.uniform(-1, 1, axis.shape), sigma * side)
    places = np.stack([rows, columns, np.ones_like(rows)], axis=-1) @ back  # (H, W, 2)
    channels = [map_coordinates(image[..., c], places.transpose(2, 0, 1), order=1, mode="mirror") for c in range(3)]
    return np.stack(channels, axis=-1)


def pixelate(image: Image, random: np.random.Generator, share: float) -> Image:
    """Reduce the image and enlarge it again, without smoothing."""
    height, width = image.shape[:2]
    small = _pillow(image).resize((int(width * share), int(height * share)), Pillow.Resampling.BOX)
    return np.asarray(small.resize((width, height), Pillow.Resampling.BOX)) / 255


def jpeg_compression(image: Image, random: np.random.Generator, quality: int) -> Image:
    """Save the image as a JPEG of low quality."""
    file = io.BytesIO()
    _pillow(image).save(file, "JPEG", quality=quality)
    return np.asarray(Pillow.open(file)) / 255


def _smooth(noise: Image, sigma: float) -> Image:
    smoothed: Image = gaussian_filter(noise, sigma, mode="reflect", truncate=3) if sigma else noise
    return smoothed


def _pillow(image: Image) -> Pillow.Image:
    return Pillow.fromarray((image * 255).round().clip(0, 255).astype(np.uint8))
