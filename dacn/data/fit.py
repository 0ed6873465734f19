"""Any image to RGB bytes of one size: the only place where pixels are resized.

Pillow does the work: its integer arithmetic gives the same bytes on every machine.
"""

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from dacn.data.values import ValueRange, to_eight_bits

Pixels = NDArray[np.uint8]
_Pixels = TypeVar("_Pixels", Tensor, NDArray[np.uint8])
Resize = Literal["crop", "pad", "stretch"]
"""What becomes of an image that is no square: its centre is cut out, black margins make it one, or it is stretched."""
Fit = Literal["crop", "pad", "stretch", "digits"]
"""How the images of a domain are fitted: as `fit_image` does, or, those of up to 28 pixels, as `fit_digits` does."""


def fit_image(image: Image.Image, size: int, resize: Resize = "crop", value_range: ValueRange | None = None) -> Pixels:
    """Return one image as an RGB square.

    Grey becomes three equal channels, transparency is laid over white.

    Args:
        image: any mode.
        size: pixels of both sides.
        resize: how it becomes a square.
        value_range: of values that have more than 8 bits.

    Shape: ``(size, size, 3)``.

    Raises:
        ValueError: values of more than 8 bits, whose range is not given.
    """
    image = to_eight_bits(image, value_range)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return np.asarray(_resize(image.convert("RGB"), size, resize))


def fit_images(images: NDArray[Any], size: int, resize: Resize = "crop") -> Tensor:
    """Return a stack of images as RGB tensors of ``size``, as :func:`fit_image` does for one.

    >>> fit_images(np.zeros((5, 20, 30), np.uint8), 16).shape
    torch.Size([5, 3, 16, 16])

    Args:
        images: uint8, grey ``(N, H, W)`` or with 1 or 3 channels ``(N, H, W, C)``.
        size: pixels of both sides.
        resize: how they become squares.

    Shape: ``(N, 3, size, size)``, uint8.
    """
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.shape[1:3] != (size, size):
        images = _stack(_resize(Image.fromarray(image), size, resize) for image in images)
    if images.ndim == 3:
        images = images[..., None]
    channels_first = torch.from_numpy(images.transpose(0, 3, 1, 2))  # (N, 1 or 3, size, size)
    return channels_first.expand(-1, 3, -1, -1).contiguous()


def centre_crop(images: _Pixels, size: int) -> _Pixels:
    """Return the centre square of images, without copying them; where it cannot lie even, as torchvision places it.

    >>> centre_crop(torch.arange(25).view(1, 1, 5, 5), 2).flatten().tolist()
    [12, 13, 17, 18]

    Args:
        images: of at least ``size`` pixels on both sides.
        size: pixels of both sides.

    Shape: ``(..., H, W)`` to ``(..., size, size)``.
    """
    top, left = (round((side - size) / 2) for side in images.shape[-2:])
    return images[..., top : top + size, left : left + size]


def fit_digits(images: NDArray[Any], size: int) -> Tensor:
    """Return grey digits the way the field shows them: 28 pixels within a black margin of 2.

    MNIST (28) is padded and never stretched; smaller digits (USPS: 16) are enlarged to 28 first. Another ``size``
    than 32 resizes the result.

    Args:
        images: uint8 ``(N, H, W)``, ink bright on a black ground.
        size: pixels of both sides.

    Shape: ``(N, 3, size, size)``, uint8.
    """
    if images.shape[1:] != (28, 28):
        images = _stack(_resize(Image.fromarray(image), 28) for image in images)
    return fit_images(np.pad(images, ((0, 0), (2, 2), (2, 2))), size)


def fit_as(image: Image.Image, size: int, fit: Fit) -> Pixels:
    """Return one image of 8 bits as those of a domain were fitted, whatever held them.

    Shape: ``(size, size, 3)``.
    """
    if fit != "digits":
        return fit_image(image, size, fit)
    if max(image.size) <= 28:
        image = Image.fromarray(np.pad(fit_image(image, 28), ((2, 2), (2, 2), (0, 0))))
    return fit_image(image, size)


def _resize(image: Image.Image, size: int, resize: Resize = "crop") -> Image.Image:
    square = (size, size)
    if image.size == square:
        return image
    if resize == "crop":
        return ImageOps.fit(image, square, Image.Resampling.BICUBIC)  # cuts out the centre square, then resizes
    if resize == "pad":
        return ImageOps.pad(image, square, Image.Resampling.BICUBIC)
    return image.resize(square, Image.Resampling.BICUBIC)


def _stack(images: Iterable[Image.Image]) -> Pixels:
    return np.stack([np.asarray(image) for image in images])
