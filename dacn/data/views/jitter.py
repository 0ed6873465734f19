"""Colour jitter of a batch, a different draw for each image: brightness, contrast, saturation and hue.

In this order, where torchvision's ColorJitter draws one for every call.
"""

import torch
from pydantic import Field
from torch import Generator, Tensor

from dacn.config import Config
from dacn.data.views.colours import GREY


class ColourJitterConfig(Config):
    """How far colours move: the factors of torchvision's ColorJitter, uniform within 1 minus and plus so much."""

    brightness: float = Field(0.4, ge=0, le=1, description="of the factor that multiplies the image")
    contrast: float = Field(0.4, ge=0, le=1, description="of the image's share, blended with its mean grey")
    saturation: float = Field(0.4, ge=0, le=1, description="of the image's share, blended with its own grey")
    hue: float = Field(0.1, ge=0, le=0.5, description="furthest turn of the hue either way, as a part of the circle")


def jitter_colours(images: Tensor, config: ColourJitterConfig, generator: Generator) -> Tensor:
    """Draw for each image how its colours move, and move them.

    Shape: ``(B, 3, H, W)`` in [0, 1], may be overwritten; returns the same.
    """
    shape = (4, len(images), 1, 1, 1)
    draws = torch.empty(shape, device=generator.device).uniform_(-1, 1, generator=generator)
    if config.brightness:
        images = images.mul_(1 + config.brightness * draws[0]).clamp_(0, 1)
    if config.contrast:
        images = blend(images, grey_of(images).mean((1, 2, 3), keepdim=True), 1 + config.contrast * draws[1])
    if config.saturation:
        images = blend(images, grey_of(images), 1 + config.saturation * draws[2])
    return turn_hue(images, config.hue * draws[3]) if config.hue else images


def grey_of(images: Tensor) -> Tensor:
    """Return the luma of images: ``(B, 3, H, W)`` to ``(B, 1, H, W)``."""
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
    return red * GREY[0] + green * GREY[1] + blue * GREY[2]


def blend(images: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Return ``share * images + (1 - share) * other`` within [0, 1], in place; a share above 1 leads away from it."""
    return images.mul_(share).add_(other * (1 - share)).clamp_(0, 1)


def turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue, leaving value and saturation of HSV as they are.

    Shape: images ``(B, 3, H, W)`` in [0, 1], turn ``(B, 1, 1, 1)`` in parts of the circle; returns the shape of images.
    """
    value, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)  # (B, 1, H, W)
    chroma = value - low
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
    scale = torch.where(chroma > 0, chroma, 1.0)
    # In sixths of the circle: 0 is red, 2 green, 4 blue.
    hue = torch.where(
        value == red,
        (green - blue) / scale,
        torch.where(value == green, (blue - red) / scale + 2, (red - green) / scale + 4),
    )
    place = torch.arange(5.0, 0.0, -2.0, device=images.device).view(1, 3, 1, 1) + (hue + 6 * turn)  # (B, 3, H, W)
    place = place.remainder_(6)
    return value - chroma * torch.minimum(place, 4 - place).clamp_(0, 1)
