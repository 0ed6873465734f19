"""Images made into another domain while they are read: the same photographs in grey, as negatives, as sketches.

Integer arithmetic throughout: the same bytes on every machine.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK = 2048  # images at a time: the arithmetic needs several times their bytes


def apply_variant(images: Tensor, variant: str) -> Tensor:
    """Return every image in a variant.

    Args:
        images: uint8 RGB.
        variant: a key of `dacn.data.known.names.VARIANTS`.

    Shape: ``(N, 3, H, W)`` to the same.
    """
    return torch.cat([_MAKE[variant](images[start : start + _CHUNK]) for start in range(0, len(images), _CHUNK)])


def grey(images: Tensor) -> Tensor:
    """Return the luma (ITU-R BT.601) in three equal channels."""
    return _luma(images).byte().expand(-1, 3, -1, -1)


def inverted(images: Tensor) -> Tensor:
    """Return the negatives."""
    return 255 - images


def hue(images: Tensor) -> Tensor:
    """Turn every hue by 120 degrees: red becomes green, green blue, blue red."""
    return images[:, [2, 0, 1]]


def sketched(images: Tensor) -> Tensor:
    """Draw the edges dark on white: Sobel's gradient of the smoothed luma, black from three times its mean on."""
    smooth = _filtered(_luma(images), [[1, 2, 1], [2, 4, 2], [1, 2, 1]])  # 16 times
    across = _filtered(smooth, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    down = _filtered(smooth, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    edges = (across.abs() + down.abs()).long()  # (N, 1, H, W)
    full = (3 * edges.sum((1, 2, 3), keepdim=True) // edges[0].numel()).clamp(min=_FLAT)
    ink = (255 * edges // full).clamp(max=255)
    return (255 - ink).byte().expand(-1, 3, -1, -1)


_FLAT = 960  # a gradient this low all over is noise, and not to be drawn
_MAKE: dict[str, Callable[[Tensor], Tensor]] = {"grey": grey, "inverted": inverted, "sketched": sketched, "hue": hue}


def _luma(images: Tensor) -> Tensor:
    red, green, blue = (images[:, channel : channel + 1].int() for channel in range(3))
    return (299 * red + 587 * green + 114 * blue + 500) // 1000  # (N, 1, H, W) int32


def _filtered(values: Tensor, kernel: list[list[int]]) -> Tensor:
    """Filter whole numbers below 2**24, which float32 holds exactly; the margin repeats the border."""
    weight = torch.tensor(kernel, dtype=torch.float32)[None, None]
    return F.conv2d(F.pad(values.float(), (1, 1, 1, 1), mode="replicate"), weight)
