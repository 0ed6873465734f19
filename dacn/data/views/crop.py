"""Random resized crops of a batch, as the affine map that one sampling of each image takes.

Reference: Szegedy et al. 2015, arXiv 1409.4842; torchvision's RandomResizedCrop, which places boxes at whole pixels.
"""

import math

import torch
from torch import Generator, Tensor

ASPECT = (3 / 4, 4 / 3)
"""Width over height of a crop, uniform in its logarithm."""
ATTEMPTS = 10
"""How often a box is drawn that does not fit into the image, before all of it is taken."""


def draw_boxes(count: int, area: tuple[float, float], size: tuple[int, int], generator: Generator) -> Tensor:
    """Draw boxes of a random area and aspect, each anywhere in the image.

    Args:
        count: boxes.
        area: least and greatest share of the image's.
        size: height and width of the images, in pixels.
        generator: source of every random number.

    Shape: ``(B, 4)``: centre x, centre y, width and height in units of half the image's side, the centre from its own.
    """
    device, (height, width) = generator.device, size
    areas = torch.empty(ATTEMPTS, count, device=device).uniform_(*area, generator=generator)
    aspects = torch.empty(ATTEMPTS, count, device=device)
    aspects.uniform_(*map(math.log, ASPECT), generator=generator).exp_().mul_(height / width)  # of shares of the sides
    shares = torch.stack([areas * aspects, areas / aspects], dim=2).sqrt_()  # (A, B, 2)
    first = (shares <= 1).all(2).to(torch.uint8).argmax(0)  # (B,), 0 where none fits
    shares = shares[first, torch.arange(count, device=device)]
    shares = torch.where((shares <= 1).all(1, keepdim=True), shares, 1.0)  # (B, 2)
    return _placed(torch.empty(count, 2, device=device).uniform_(-1, 1, generator=generator) * (1 - shares), shares)


def draw_windows(count: int, size: tuple[int, int], window: tuple[int, int], generator: Generator) -> Tensor:
    """Draw boxes of ``window`` pixels, height and width, each anywhere in the image, at whole pixels.

    Shape: ``(B, 4)`` as `draw_boxes`.
    """
    centres, shares = [], []
    for side, part in zip(reversed(size), reversed(window), strict=True):
        start = torch.randint(side - part + 1, (count,), generator=generator, device=generator.device)
        centres.append((2 * start + part) / side - 1)
        shares.append(torch.full_like(centres[-1], part / side))
    return _placed(torch.stack(centres, dim=1), torch.stack(shares, dim=1))


def mirror(boxes: Tensor, generator: Generator) -> Tensor:
    """Return boxes of which half, drawn at random, are mirrored: their width is negative. Shape: ``(B, 4)``."""
    sign = 1 - 2 * torch.randint(2, (len(boxes),), generator=generator, device=generator.device)
    return torch.stack([boxes[:, 0], boxes[:, 1], boxes[:, 2] * sign, boxes[:, 3]], dim=1)


def within(boxes: Tensor, matrices: Tensor) -> Tensor:
    """Return affine maps into the whole image for those into a box of it.

    Shape: boxes ``(B, 4)``, matrices ``(B, 2, 3)`` as `dacn.data.views.operations.affine_matrices`; returns the latter.
    """
    result = matrices * boxes[:, 2:, None]
    result[:, :, 2] += boxes[:, :2]
    return result


def keep_inside(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring positions that lie outside of the outermost pixels' centres to these, in place.

    Args:
        grid: ``(B, 2, H, W)`` of `dacn.data.views.operations.sampling_grid`.
        size: height and width of the images that are sampled, in pixels.
    """
    for axis, side in enumerate(reversed(size)):
        grid[:, axis].clamp_(1 / side - 1, 1 - 1 / side)
    return grid


def _placed(centres: Tensor, shares: Tensor) -> Tensor:
    return torch.cat([centres, shares], dim=1)
