"""Weather. Images are float64 RGB from 0 to 1, ``(H, W, 3)``, and may leave that range: the caller clips."""

import numpy as np

from dacn.data.corruption.image import Image, clouds, smear, zoom

_LUMA = np.array([0.299, 0.587, 0.114])
_ICE = np.array([0.85, 0.94, 1.0])  # the colour of frost, a little blue


def snow(
    image: Image,
    random: np.random.Generator,
    *settings: *tuple[float, float, float, float, int, float, float],
) -> Image:
    """Whiten the image and let flakes fall over it in two directions.

    ``settings``: mean and scale of the noise that flakes are cut from, their size, the level of the cut, length and
    sigma of their fall, and how much of the image is left unwhitened.
    """
    mean, scale, size, level, length, sigma, left = settings
    flakes = zoom(random.normal(mean, scale, image.shape[:2]), size)
    flakes = np.where(flakes < level, 0, flakes).clip(0, 1)
    flakes = smear(flakes, length, sigma, random.uniform(-135, -45))[..., None]
    pale = np.maximum(image, (image @ _LUMA)[..., None] * 1.5 + 0.5)
    fallen: Image = left * image + (1 - left) * pale + flakes + np.rot90(flakes, 2)
    return fallen


def frost(image: Image, random: np.random.Generator, left: float, ice: float) -> Image:
    """Lay ice over the image: needles where two fields of clouds meet, on a white haze.

    The original lays photographs of frosted windows over; these are drawn, which departs from it.
    """
    side = max(image.shape[:2])
    height, width = image.shape[:2]
    meeting = np.abs(clouds(side, 1.5, random) - clouds(side, 1.5, random))
    layer = 0.25 + 0.35 * clouds(side, 1.7, random) + 0.6 * np.exp(-15 * meeting)
    covered: Image = left * image + ice * layer[:height, :width, None].clip(0, 1) * _ICE
    return covered


def fog(image: Image, random: np.random.Generator, thickness: float, decay: float) -> Image:
    """Add clouds, and keep the brightest level where it was."""
    brightest = image.max()
    side = max(image.shape[:2])
    drift = clouds(side, decay, random)[: image.shape[0], : image.shape[1], None]
    hazy: Image = (image + thickness * drift) * brightest / (brightest + thickness)
    return hazy


def brightness(image: Image, random: np.random.Generator, more: float) -> Image:
    """Raise the value of every colour (V of HSV), its hue and saturation as they are."""
    value = image.max(axis=2, keepdims=True)
    raised = np.minimum(value + more, 1)
    brighter: Image = np.where(value > 0, image * raised / np.where(value > 0, value, 1), raised)
    return brighter
