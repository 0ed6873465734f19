"""Weak and strong views of a batch, made on the device of the images with a different draw for each image.

Reference: AdaMatch, arXiv 2106.04732; FixMatch, arXiv 2001.07685; French et al. 2018, arXiv 1706.05208 (appearance).
"""

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Generator, Tensor

from dacn.batch import Views
from dacn.config import Config
from dacn.data.views.appearance import draw_colours, paint, to_scale, vary_intensity
from dacn.data.views.colours import apply_colour
from dacn.data.views.crop import draw_boxes, draw_windows, keep_inside, mirror, within
from dacn.data.views.jitter import ColourJitterConfig, jitter_colours
from dacn.data.views.operations import affine_matrices, draw_operations, sampling_grid, warp

PIECE = 2**20
"""Values of the images that a thread crops one piece after the other: three quarters of the time of all at once."""
FAR = 1e3
"""How far outside of an image a pixel is sampled that is cut out, in half sides: beyond what any matrix brings back."""


class AugmentConfig(Config):
    """How views are made: FixMatch's RandAugment and cutout, with the departures of `dacn.data.views.operations`."""

    shift: float = Field(
        0.125,
        ge=0,
        le=0.5,
        description="furthest weak shift in each direction, as a fraction of the side; crops take its place where "
        "crop or data.resize_size is set",
    )
    crop: tuple[float, float] | None = Field(
        None,
        description="[least, greatest] share of the image's area that each view shows, a box of aspect 3/4 to 4/3 "
        "anywhere in it, resized to data.image_size. null: all of it, or a window of data.image_size in an image of "
        "data.resize_size",
        examples=[[0.7, 1.0]],
    )
    colour_jitter: ColourJitterConfig | None = Field(
        None,
        description="moves brightness, contrast, saturation and hue of strong views; of the weak ones where a method "
        "looks at no others",
        examples=[{"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}],
    )
    operations: int = Field(2, ge=0, le=6, description="RandAugment operations drawn for each strong view")
    probability: float = Field(
        1.0, gt=0, le=1, description="with which each drawn operation acts; 0.5 in FixMatch's own code"
    )
    magnitude: float = Field(
        1.0, gt=0, le=1, description="upper end of each operation's uniform strength; 1: the whole of FixMatch's range"
    )
    shear: Literal["centre", "corner"] = Field(
        "centre", description="what shears leave in place; the upper left corner in FixMatch's own code"
    )
    cutout: float = Field(
        0.5, ge=0, le=1, description="side of the grey square, as a fraction of the image's shorter side"
    )
    cutout_side: Literal["uniform", "full"] = Field(
        "uniform",
        description="uniform: the side is drawn from 0 up to cutout; full: always cutout, FixMatch's own code",
    )
    appearance: bool = Field(False, description="randomise colours and intensity too (Self-ensembling)")

    @field_validator("crop")
    @classmethod
    def _a_share(cls, crop: tuple[float, float] | None) -> tuple[float, float] | None:
        if crop is not None and not 0 < crop[0] <= crop[1] <= 1:
            raise ValueError(
                f"expected [least, greatest] with 0 < least <= greatest <= 1, got [{crop[0]:g}, {crop[1]:g}]"
            )
        return crop


def to_input(images: Tensor) -> Tensor:
    """Bring bytes to the network's input scale, ``(x - 127.5) / 128``.

    Shape: ``(B, 3, H, W)`` uint8 to float32.

    >>> to_input(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)).flatten()
    tensor([-0.9961,  0.9961])
    """
    return images.to(torch.float32, copy=True).sub_(127.5).div_(128)


def shift_and_mirror(images: Tensor, shift: float, flips: bool, generator: Generator, views: int = 1) -> Tensor:
    """Shift each image by up to ``shift`` of its side, reflecting at the border, and mirror half of them if ``flips``.

    Shape: ``(B, C, H, W)``, any dtype, to ``(views * B, C, H, W)``: all of the images once for each view.
    """
    count, channels, height, width = images.shape
    by = int(shift * width)
    down, right = (_draw_shift(views * count, furthest, generator) for furthest in (int(shift * height), by))
    mirrored = torch.randint(2, down.shape, generator=generator, device=generator.device) if flips else 0
    # The lines of all images, reflected at both ends, stand one behind the other, those of mirrored images last. A
    # view's line is what lies W wide from some place on: to copy it is far faster than to pick W pixels.
    lines = _reflected_lines(images, by, flips)  # (B, C, H, W + 2 by) or twice as many images
    image = torch.arange(count, device=images.device).repeat(views)[:, None] + count * mirrored  # (V, 1)
    rows = _reflect(torch.arange(height, device=images.device) + down, height)[:, None]  # (V, 1, H)
    line = (image * channels + torch.arange(channels, device=images.device))[..., None] * height + rows  # (V, C, H)
    start = line * lines.shape[3] + (by + right * (1 - 2 * mirrored))[..., None]
    everywhere = lines.view(-1).as_strided((lines.numel() - width + 1, width), (1, 1))
    return everywhere.index_select(0, start.flatten()).view(-1, channels, height, width)


def _draw_shift(count: int, furthest: int, generator: Generator) -> Tensor:
    return torch.randint(-furthest, furthest + 1, (count, 1), generator=generator, device=generator.device)


def _reflect(positions: Tensor, side: int) -> Tensor:
    """Return positions from ``1 - side`` to ``2 * side - 2`` as those from 0 to ``side - 1`` that they show."""
    return (side - 1) - (side - 1 - positions.abs()).abs()


def _reflected_lines(images: Tensor, by: int, flips: bool) -> Tensor:
    """Return images with ``by`` more columns on both sides, ``(B, C, H, W + 2 by)``; the mirrored ones behind them."""
    count, channels, height, width = images.shape
    mirrored = images.flip(3)
    lines = images.new_empty((1 + flips, count, channels, height, width + 2 * by))
    for wide, own, other in zip(lines, (images, mirrored), (mirrored, images), strict=False):
        wide[..., by : by + width] = own
        wide[..., :by] = other[..., width - 1 - by : width - 1]
        wide[..., by + width :] = other[..., 1 : 1 + by]
    return lines.flatten(0, 1)


def cut_out(grid: Tensor, fraction: float, generator: Generator, *, full: bool = False) -> Tensor:
    """Cut a square at a random place, its side uniform up to ``fraction`` of the shorter side, out of what is sampled.

    Its pixels are sampled far outside of the image, which reads as 0 (mid-grey). The centre may be any pixel, so the
    square may reach over the border. With ``full`` the side is always the longest. Reference: Cutout, arXiv 1708.04552.

    Shape: ``(B, 2, H, W)`` of `dacn.data.views.operations.sampling_grid`, overwritten and returned.
    """
    count, _, height, width = grid.shape
    device, longest = generator.device, int(fraction * min(height, width))
    if full:
        side = torch.full((count, 1), longest, device=device)
    else:
        side = torch.randint(longest + 1, (count, 1), generator=generator, device=device)
    covered = []  # (B, H) and (B, W)
    for length in (height, width):
        start = torch.randint(length, (count, 1), generator=generator, device=device) - side // 2
        position = torch.arange(length, device=device)
        covered.append(((position >= start) & (position < start + side)).to(grid.dtype))
    grid[:, 0].addcmul_(covered[0][:, :, None], covered[1][:, None, :], value=FAR)
    return grid


class Augment:
    """Makes the weak and the strong view of source and target images.

    Both views of both domains are made together, for several small calls take longer than a large one.

    Args:
        config: how.
        flips: whether a mirrored image is still of its class.
        size: height and width of the views; None: those of the images.
    """

    def __init__(self, config: AugmentConfig, *, flips: bool, size: tuple[int, int] | None = None) -> None:
        self.config, self.flips, self.size = config, flips, size

    def views(
        self, source: Tensor, target: Tensor, generator: Generator, *, strong: bool = True
    ) -> tuple[Views, Views]:
        """Return both views of labelled and of unlabelled images, on the network's input scale.

        With ``appearance``, sources that are grey get colours and strong views vary in intensity; the target's weak
        view, which gives the pseudo-label, keeps its appearance. With ``strong=False`` the weak view stands for both.

        Shape: source ``(B, 3, H, W)`` and target ``(T, 3, H, W)`` uint8, where T may be 0, to float32 views of `size`.
        These are not channels last in memory: the first convolution changes that sooner than it could be done here.
        """
        whole = torch.cat([source, target])
        cut = self._cuts(whole)
        images = (whole,) * (1 + strong) if cut else self.weak(whole, generator, 1 + strong).chunk(1 + strong)
        colours = self._colours(source, len(target), 1 + strong, generator)
        ground, figure = (colour.chunk(1 + strong) for colour in colours)
        # The views one after the other: the C library keeps no block as large as both, see `dacn.machine.memory`.
        weak = self.cut(images[0], generator) if cut else images[0].float()
        jitter = None if strong else self.config.colour_jitter
        if jitter is None:
            both = [paint(weak, to_scale(ground[0]), to_scale(figure[0]))]
        else:
            both = [to_scale(jitter_colours(paint(weak, ground[0], figure[0]), jitter, generator))]
        if strong:
            view = paint(images[1].float(), ground[1], figure[1])
            both.append(self.strong(view, generator, vary=self.config.appearance))
        sources, targets = zip(*(view.split_with_sizes([len(source), len(target)]) for view in both), strict=True)
        return Views(sources[0], sources[-1]), Views(targets[0], targets[-1])

    def _colours(self, source: Tensor, targets: int, views: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return what black and white become in each view of source and target, ``(V * (B + T), 3, 1, 1)`` each."""
        if self.config.appearance:
            grey = _grey(source)
            return draw_colours(torch.cat([grey, grey.new_zeros(targets)]).repeat(views), generator)
        black = torch.zeros(views * (len(source) + targets), 3, 1, 1, device=source.device)
        return black, black + 1

    def weak(self, images: Tensor, generator: Generator, views: int = 1) -> Tensor:
        """Shift and mirror.

        Shape: ``(B, 3, H, W)`` uint8 to ``(views * B, 3, H, W)``: all of the images once for each view.
        """
        return shift_and_mirror(images, self.config.shift, self.flips, generator, views)

    def _cuts(self, images: Tensor) -> bool:
        """Whether views are cut from these images; else they are shifted."""
        return self.config.crop is not None or self._view_size(images) != images.shape[2:]

    def _view_size(self, images: Tensor) -> tuple[int, int]:
        height, width = images.shape[2:] if self.size is None else self.size
        return height, width

    def cut(self, images: Tensor, generator: Generator) -> Tensor:
        """Crop each image, and mirror half of them where that keeps the class.

        Shape: ``(B, 3, H, W)``, bytes or on any scale, to float ``(B, 3, *size)``.
        """
        height, width = images.shape[2:]
        size = self._view_size(images)
        matrices = within(self._boxes(images, generator), torch.eye(2, 3, device=images.device))  # (B, 2, 3)
        views = torch.empty(*images.shape[:2], *size, device=images.device)
        for piece in self._pieces(images):
            grid = keep_inside(sampling_grid(matrices[piece], *size), (height, width))
            views[piece] = warp(images[piece].float(), grid)
        return views

    def _pieces(self, images: Tensor) -> Iterator[slice]:
        """Yield the rows that are made together: as many as a CPU's caches hold, all of them on a GPU."""
        each = len(images)
        if images.device.type == "cpu":
            each = max(1, torch.get_num_threads() * PIECE // images[0].numel())
        yield from (slice(start, start + each) for start in range(0, len(images), each))

    def _boxes(self, images: Tensor, generator: Generator) -> Tensor:
        """Draw what the view of each image shows of it, ``(B, 4)``."""
        (height, width), crop = images.shape[2:], self.config.crop
        if crop is not None:
            boxes = draw_boxes(len(images), crop, (height, width), generator)
        else:
            boxes = draw_windows(len(images), (height, width), self._view_size(images), generator)
        return mirror(boxes, generator) if self.flips else boxes

    def strong(self, weak: Tensor, generator: Generator, *, vary: bool = False) -> Tensor:
        """Do RandAugment and cutout to weak views, with a varied intensity if asked to.

        Where views are cut, it does so to whole images: colours are those of all of the image, and crop, mirror and the
        geometric operations are one sampling, which shows what lies around the crop rather than grey.

        Shape: weak ``(B, 3, H, W)`` in [0, 1], overwritten; returns views of `size` on the network's input scale.
        """
        config, (height, width) = self.config, self._view_size(weak)
        draws = draw_operations(config.operations, len(weak), config.magnitude, generator, config.probability)
        if config.colour_jitter is not None:
            weak = jitter_colours(weak, config.colour_jitter, generator)
        view = apply_colour(weak, draws.drawn, draws.amounts.abs())
        view = vary_intensity(view, generator) if vary else to_scale(view)
        matrices = affine_matrices(draws, corner=height / width if config.shear == "corner" else None)
        if self._cuts(weak):
            matrices = within(self._boxes(weak, generator), matrices)
        grid = sampling_grid(matrices, height, width)
        return warp(view, cut_out(grid, config.cutout, generator, full=config.cutout_side == "full"))


def _grey(images: Tensor) -> Tensor:
    """Return which images of bytes have three equal channels: (B,)."""
    # Bytes wrap around, so a difference of any sign is above 0.
    return (images[:, 1:] - images[:, :1]).flatten(1).amax(1) == 0
