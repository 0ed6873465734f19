"""RandAugment's operations on a batch, a different draw for each image.

Operations and ranges are FixMatch's (Table 12 there). Three departures, for speed and for images that are interpolated
only once: the operations of one image differ from one another; they are applied in the order of `OPERATIONS`; and the
geometric ones are multiplied into one matrix, which uncovers mid-grey.

Reference: FixMatch, arXiv 2001.07685; RandAugment, arXiv 1909.13719.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from dacn.data.views.colours import COLOUR

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
    amounts = torch.empty(shape, device=device).uniform_(-magnitude, magnitude, generator=generator)
    return Draws(ranks < count, amounts)


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


def sampling_grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """Return where in the input each pixel of the output is sampled, horizontally and vertically, in half sides.

    Args:
        matrices: from output to input position, see `affine_matrices`.
        height, width: of the images, in pixels.

    Shape: matrices ``(B, 2, 3)``; returns ``(B, 2, H, W)``.
    """
    device = matrices.device
    x = torch.arange(1 - width, width, 2, device=device) / width  # (W,) centres of pixels, in half sides
    y = (torch.arange(1 - height, height, 2, device=device) / height)[:, None]  # (H, 1)
    # Angles and shears are of square pixels, positions are in half sides.
    across = torch.stack([x, x * (width / height)])[:, None]  # (2, 1, W)
    down = torch.stack([y * (height / width), y])  # (2, H, 1)
    matrix = matrices[..., None, None]  # (B, 2, 3, 1, 1)
    return matrix[:, :, 0] * across + (matrix[:, :, 1] * down + matrix[:, :, 2])


def warp(images: Tensor, grid: Tensor) -> Tensor:
    """Resample each image at its own positions (bilinear); what lies outside the image reads as 0.

    Args:
        images: float, with 0 as mid-grey.
        grid: see `sampling_grid`.

    Shape: images ``(B, C, H, W)``, grid ``(B, 2, H, W)``.
    """
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False)
