"""Weak and strong views of a batch, made on the device of the images with a different draw for each image.

Reference: AdaMatch, arXiv 2106.04732; FixMatch, arXiv 2001.07685; French et al. 2018, arXiv 1706.05208 (appearance).
"""

import torch
from pydantic import Field
from torch import Generator, Tensor

from dacn.batch import Views
from dacn.config import Config
from dacn.data.appearance import recolour, vary_intensity
from dacn.data.colours import apply_colour
from dacn.data.operations import affine_matrices, draw_operations, warp


class AugmentConfig(Config):
    """How views are made.

    Args:
        shift: furthest weak shift in each direction, as a fraction of the side.
        operations: RandAugment operations per strong view.
        magnitude: upper end of each operation's uniform strength; 1 is the whole of FixMatch's range.
        cutout: longest side of the grey square, as a fraction of the image's shorter side.
        appearance: whether to randomise colours and intensity as well, see `dacn.data.appearance`.
    """

    shift: float = Field(0.125, ge=0, le=0.5)
    operations: int = Field(2, ge=0, le=6)
    magnitude: float = Field(1.0, gt=0, le=1)
    cutout: float = Field(0.5, ge=0, le=1)
    appearance: bool = False


def to_input(images: Tensor) -> Tensor:
    """Bring bytes to the network's input scale, ``(x - 127.5) / 128``, channels last in memory.

    Shape: ``(B, 3, H, W)`` uint8 to float32.

    >>> to_input(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)).flatten()
    tensor([-0.9961,  0.9961])
    """
    return images.to(torch.float32, memory_format=torch.channels_last, copy=True).sub_(127.5).div_(128)


def shift_and_mirror(images: Tensor, shift: float, flips: bool, generator: Generator) -> Tensor:
    """Shift each image by up to ``shift`` of its side, reflecting at the border, and mirror half of them if ``flips``.

    Shape: ``(B, C, H, W)``, any dtype, to the same.
    """
    count, channels, height, width = images.shape
    rows, columns = (_shifted(count, side, int(shift * side), generator) for side in (height, width))  # (B, H), (B, W)
    if flips:
        mirror = torch.randint(2, (count, 1), generator=generator, device=generator.device).bool()
        columns = torch.where(mirror, columns.flip(1), columns)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)  # (B, 1, H * W)
    return images.flatten(2).gather(2, pixels.expand(-1, channels, -1)).view_as(images)


def _shifted(count: int, side: int, furthest: int, generator: Generator) -> Tensor:
    """Return for each image the positions along one side that its shifted version shows: (B, side)."""
    shift = torch.randint(-furthest, furthest + 1, (count, 1), generator=generator, device=generator.device)
    positions = (torch.arange(side, device=generator.device) + shift).abs()
    return (side - 1) - (side - 1 - positions).abs()


def cut_out(images: Tensor, fraction: float, generator: Generator) -> Tensor:
    """Set a square at a random place to 0 (mid-grey), its side uniform up to ``fraction`` of the shorter side.

    The centre may be any pixel, so the square may reach over the border. Reference: Cutout, arXiv 1708.04552.

    Shape: ``(B, C, H, W)`` to the same, channels last in memory.
    """
    count, _, height, width = images.shape
    device = generator.device
    side = torch.randint(int(fraction * min(height, width)) + 1, (count, 1), generator=generator, device=device)
    covered = []  # (B, H) and (B, W)
    for length in (height, width):
        start = torch.randint(length, (count, 1), generator=generator, device=device) - side // 2
        position = torch.arange(length, device=device)
        covered.append(((position >= start) & (position < start + side)).to(images.dtype))
    kept = 1 - covered[0][:, None, :, None] * covered[1][:, None, None, :]  # (B, 1, H, W)
    result = torch.empty_like(images, memory_format=torch.channels_last)
    return torch.mul(images, kept, out=result)  # three times as fast as to fill where the mask says


class Augment:
    """Makes the weak and the strong view of source and target images.

    Args:
        config: how.
        flips: whether a mirrored image is still of its class.

    Shape: images ``(B, 3, H, W)`` uint8 to views ``(B, 3, H, W)`` float32, channels last.
    """

    def __init__(self, config: AugmentConfig, *, flips: bool) -> None:
        self.config = config
        self.flips = flips

    def source_views(self, images: Tensor, generator: Generator, *, strong: bool = True) -> Views:
        """Return both views of labelled images; grey ones get colours, and the strong view varies in intensity.

        With ``strong=False`` the weak view stands for both.
        """
        vary = self.config.appearance
        weak = self.weak(images, generator, colours=vary)
        if not strong:
            return Views(weak, weak)
        return Views(weak, self.strong(images, generator, colours=vary, intensity=vary))

    def target_views(self, images: Tensor, generator: Generator, *, strong: bool = True) -> Views:
        """Return both views of unlabelled images; the weak one, which gives the pseudo-label, keeps its appearance."""
        if not len(images):  # none are drawn where none are looked at
            return Views(to_input(images), to_input(images))
        weak = self.weak(images, generator)
        if not strong:
            return Views(weak, weak)
        return Views(weak, self.strong(images, generator, intensity=self.config.appearance))

    def weak(self, images: Tensor, generator: Generator, *, colours: bool = False) -> Tensor:
        """Shift and mirror; recolour what is grey if asked to."""
        if not colours:
            return to_input(shift_and_mirror(images, self.config.shift, self.flips, generator))
        return _scaled(self._placed(images, generator, colours)).contiguous(memory_format=torch.channels_last)

    def strong(self, images: Tensor, generator: Generator, *, colours: bool = False, intensity: bool = False) -> Tensor:
        """Do as `weak` does, with a draw of its own; RandAugment, cutout and, if asked to, a varied intensity too."""
        draws = draw_operations(self.config.operations, len(images), self.config.magnitude, generator)
        view = apply_colour(self._placed(images, generator, colours), draws.drawn, draws.amounts.abs())
        view = _scaled(view)
        if intensity:
            view = vary_intensity(view, generator)
        return cut_out(warp(view, affine_matrices(draws)), self.config.cutout, generator)

    def _placed(self, images: Tensor, generator: Generator, colours: bool) -> Tensor:
        """Shift, mirror and, if asked to, recolour those that are grey: to [0, 1]."""
        view = shift_and_mirror(images, self.config.shift, self.flips, generator) / 255
        if not colours:
            return view
        grey = (images == images[:, :1]).all(1).flatten(1).all(1)  # (B,): sources of both kinds may stand in one batch
        return torch.where(grey[:, None, None, None], recolour(view, generator), view)


def _scaled(view: Tensor) -> Tensor:
    """Go from [0, 1] to the network's input scale, in place."""
    return view.sub_(0.5).mul_(255 / 128)
