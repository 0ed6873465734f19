"""RandAugment's operations on a batch, a different draw for each image.

Operations and ranges are FixMatch's (Table 12 there). Three departures, for speed and for images that are interpolated
only once: the operations of one image differ from one another; they are applied in the order of `OPERATIONS`; and the
geometric ones are multiplied into one matrix, which uncovers mid-grey.

Reference: FixMatch, arXiv 2001.07685; RandAugment, arXiv 1909.13719.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from kornia import enhance
from torch import Generator, Tensor

ColourOperation = Callable[[Tensor, Tensor], Tensor]
"""From images (B, 3, H, W) in [0, 1] and strengths (B,) in [0, 1] to images in [0, 1]."""


def enhancement_factor(strength: Tensor) -> Tensor:
    """Return how much of the image is left, 0.95 to 0.05, where 1 would be all of it."""
    return 0.95 - 0.9 * strength


def autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    """Stretch each channel to the whole of [0, 1]; a flat channel stays as it is."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)  # (B, 3, 1, 1)
    return torch.where(high > low, (images - low) / (high - low), images)


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with black."""
    return enhance.adjust_brightness_accumulative(images, enhancement_factor(strength))


def colour(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with the grey version of the image."""
    return enhance.adjust_saturation_with_gray_subtraction(images, enhancement_factor(strength))


def contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with the image's mean grey."""
    return enhance.adjust_contrast_with_mean_subtraction(images, enhancement_factor(strength))


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Flatten each channel's histogram of 256 levels."""
    return enhance.equalize(images)


def posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Keep the 8 to 4 highest bits."""
    step = 2 ** (5 * strength).long().clamp(max=4)[:, None, None, None]  # (B, 1, 1, 1)
    return (images * 255 / step).floor() * step / 255


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with a smoothed image; the outermost pixels stay as they are."""
    images = images.clone()
    inner = images[:, :, 1:-1, 1:-1]
    columns = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]  # sums over three rows
    box = columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]
    inner.lerp_((box + 4 * inner) / 13, 1 - enhancement_factor(strength)[:, None, None, None])
    return images


def solarize(images: Tensor, strength: Tensor) -> Tensor:
    """Invert the pixels at or above a threshold of 1 to 0."""
    return enhance.solarize(images, 1 - strength)


# Equalize and autocontrast come first: after them brightness and contrast still show, before them they would not.
COLOUR: dict[str, ColourOperation] = {
    "equalize": equalize,
    "autocontrast": autocontrast,
    "brightness": brightness,
    "colour": colour,
    "contrast": contrast,
    "posterize": posterize,
    "sharpness": sharpness,
    "solarize": solarize,
}
GEOMETRIC = ("shear_x", "shear_y", "rotate", "translate_x", "translate_y")
OPERATIONS = (*COLOUR, *GEOMETRIC, "identity")
MAX_SHEAR, MAX_ANGLE, MAX_TRANSLATION = 0.3, math.radians(30), 0.3


class Draws(NamedTuple):
    """What each image is to undergo: one row an operation, in the order of `OPERATIONS`."""

    drawn: Tensor  # (O, B) bool
    amounts: Tensor  # (O, B) in [-magnitude, magnitude]; its size is the strength, its sign a geometric direction


def draw_operations(count: int, images: int, magnitude: float, generator: Generator) -> Draws:
    """Draw ``count`` different operations for each image, uniformly, on the generator's device.

    Args:
        count: operations per image.
        images: number of images.
        magnitude: upper end of the uniform strength, in (0, 1].
        generator: source of every random number.
    """
    shape, device = (len(OPERATIONS), images), generator.device
    ranks = torch.rand(shape, generator=generator, device=device).argsort(0)  # a random order for each image
    amounts = magnitude * (2 * torch.rand(shape, generator=generator, device=device) - 1)
    return Draws(ranks < count, amounts)


def apply_colour(images: Tensor, draws: Draws) -> Tensor:
    """Apply each colour operation to the images that drew it.

    Shape: images ``(B, 3, H, W)`` in [0, 1], overwritten and returned.
    """
    drawn = draws.drawn[: len(COLOUR)]  # (O, B)
    # Rows of the images, one group an operation.
    groups = torch.split_with_sizes(drawn.nonzero()[:, 1], drawn.sum(1).tolist())
    for operation, rows, amounts in zip(COLOUR.values(), groups, draws.amounts, strict=False):
        if len(rows):
            images[rows] = operation(images[rows], amounts[rows].abs())
    return images


def affine_matrices(draws: Draws) -> Tensor:
    """Compose each image's shears, rotation and translations; the identity where none was drawn.

    A matrix takes a position in the output to the one in the input that is shown there, both measured from the centre
    of the image in units of half its side.

    Shape: ``(B, 2, 3)``.
    """
    amounts = (draws.amounts * draws.drawn)[len(COLOUR) :]  # 0, so without effect, where not drawn
    shear_x, shear_y = MAX_SHEAR * amounts[0], MAX_SHEAR * amounts[1]  # (B,) each
    cos, sin = (MAX_ANGLE * amounts[2]).cos(), (MAX_ANGLE * amounts[2]).sin()
    move_x, move_y = 2 * MAX_TRANSLATION * amounts[3], 2 * MAX_TRANSLATION * amounts[4]
    to_x = [cos - sin * shear_y, cos * shear_x - sin, move_x]
    to_y = [sin + cos * shear_y, sin * shear_x + cos, move_y]
    return torch.stack(to_x + to_y, dim=1).view(-1, 2, 3)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Resample each image by its own matrix (bilinear); what lies outside the image reads as 0.

    Args:
        images: float, with 0 as mid-grey.
        matrices: from output to input position, see `affine_matrices`.

    Shape: images ``(B, C, H, W)``, matrices ``(B, 2, 3)``.
    """
    height, width = images.shape[2:]
    x = torch.arange(1 - width, width, 2, device=images.device) / width  # (W,) centres of pixels, in half sides
    y = (torch.arange(1 - height, height, 2, device=images.device) / height)[:, None]  # (H, 1)
    # Angles and shears are of square pixels, positions are in half sides.
    aspect = torch.tensor([[1, height / width, 1], [width / height, 1, 1]], device=images.device)
    matrix = (matrices * aspect)[..., None, None]  # (B, 2, 3, 1, 1)
    grid = matrix[:, :, 0] * x + (matrix[:, :, 1] * y + matrix[:, :, 2])  # (B, 2, H, W)
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False)
