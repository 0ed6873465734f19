"""RandAugment's operations on a batch, a different draw for each image.

Operations and ranges are those of FixMatch's Table 12. Departures from the authors' code (google-research/fixmatch,
`libml/augment.py`, augmentation ``rac``), the first three for speed and for images that are interpolated only once:

- The operations of one image differ from one another; theirs are drawn with replacement.
- They are applied in the order of `OPERATIONS`, not in that of the draw.
- The geometric ones are multiplied into one matrix, which uncovers mid-grey, and interpolated; theirs take the nearest
  pixel.
- Each that is drawn acts. Theirs acts with probability 0.5, so that of two drawn 0.9 do on average where here 1.9 do
  (``augment.probability``).
- Shears leave the centre in its place, theirs the upper left corner (``augment.shear``).
- The side of the cut-out square is uniform up to half the image's, theirs always half (``augment.cutout_side``).
- Strengths are uniform; their code draws one of the levels 1 to 9 of 10, and for some operations from other ranges than
  the table's (colour, contrast, brightness and sharpness by a factor of 0.28 to 1.72, posterize to 4 to 1 bits).

Their form of what is an option: ``augment: {probability: 0.5, shear: corner, cutout_side: full}``. AdaMatch's authors
use CTAugment, which learns its strengths, with two operations an image as well; it is not built here.

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


def draw_operations(count: int, images: int, magnitude: float, generator: Generator, probability: float = 1.0) -> Draws:
    """Draw ``count`` different operations for each image, uniformly, on the generator's device.

    Args:
        count: operations per image.
        images: number of images.
        magnitude: upper end of the uniform strength, in (0, 1].
        generator: source of every random number.
        probability: with which each of them acts, by itself.
    """
    shape, device = (len(OPERATIONS), images), generator.device
    ranks = torch.rand(shape, generator=generator, device=device).argsort(0)  # a random order for each image
    amounts = torch.empty(shape, device=device).uniform_(-magnitude, magnitude, generator=generator)
    drawn = ranks < count
    if probability < 1:
        drawn &= torch.rand(shape, generator=generator, device=device) < probability
    return Draws(drawn, amounts)


def affine_matrices(draws: Draws, corner: float | None = None) -> Tensor:
    """Compose each image's shears, rotation and translations; the identity where none was drawn.

    A matrix takes a position in the output to the one in the input that is shown there, both measured from the centre
    of the image in units of half its side.

    Args:
        draws: operations and their amounts.
        corner: height over width of the images, where shears leave the upper left corner in place; None: the centre.

    Shape: ``(B, 2, 3)``.
    """
    amounts = (draws.amounts * draws.drawn)[len(COLOUR) :]  # 0, so without effect, where not drawn
    shear_x, shear_y = MAX_SHEAR * amounts[0], MAX_SHEAR * amounts[1]  # (B,) each
    cos, sin = (MAX_ANGLE * amounts[2]).cos(), (MAX_ANGLE * amounts[2]).sin()
    move_x, move_y = 2 * MAX_TRANSLATION * amounts[3], 2 * MAX_TRANSLATION * amounts[4]
    if corner is not None:
        # A shear about the corner is one about the centre that also moves the image: in half widths by so much, and
        # the rotation turns that with it.
        across, down = corner * shear_x, shear_y
        move_x, move_y = move_x + cos * across - sin * down, move_y + (sin * across + cos * down) / corner
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
