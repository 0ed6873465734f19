"""Any torch Dataset as a domain, and the form ``{python: "package.module:function"}`` that names one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from dacn.config import Config
from dacn.data.classes.class_map import CLASS_MAP, ClassMap
from dacn.data.domain import Domain
from dacn.data.fit import Pixels, Resize, fit_image
from dacn.data.read.identity import of_bytes, stacked
from dacn.data.read.paths import UserPath
from dacn.data.read.ranges import stated
from dacn.data.read.reading import ReadingConfig
from dacn.data.values import ValueRange
from dacn.errors import DataError
from dacn.named_function import PATTERN, named_function


class PythonSpec(Config):
    """A function of yours that returns a torch Dataset of (image, label) or of images."""

    python: str = Field(pattern=PATTERN, description="module and function", examples=["my_package.data:sketches"])
    path: UserPath = Field(
        Path("."), description="the folder that holds the module, where Python would not find it; the working directory"
    )
    class_map: ClassMap | None = CLASS_MAP

    def load(self, config: ReadingConfig) -> Domain:
        """Return the domain."""
        return python_set(self.python, config.read_size, config.resize, self.path, stated(config.range))


def python_set(
    reference: str,
    image_size: int,
    resize: Resize = "crop",
    path: Path = Path("."),
    value_range: ValueRange | None = None,
) -> Domain:
    """Call a function without arguments and read the data set that it returns.

    Modules are found as ``python -m`` finds them, with ``path`` in place of the working directory.

    Args:
        reference: ``"package.module:function"``.
        image_size: pixels of both sides.
        resize: how images become squares.
        path: the folder that holds the module.
        value_range: of PIL images of more than 8 bits; without it they are refused.

    Raises:
        DataError: no such module or function, the function fails, or its data set does not fit.
    """
    function = named_function(reference, path, DataError)
    try:
        dataset = function()
    except Exception as error:  # a user's own code may raise anything
        raise DataError(f"{reference}: the function failed: {type(error).__name__}: {error}") from error
    return read_dataset(reference.partition(":")[2], dataset, image_size, resize, value_range)


def read_dataset(
    name: str, dataset: Any, image_size: int, resize: Resize = "crop", value_range: ValueRange | None = None
) -> Domain:
    """Read a map-style data set once, from first to last.

    Args:
        name: what reports call the domain.
        dataset: has a length; items are (image, label) or an image alone. An image is a PIL image or a tensor
            ``(C, H, W)`` of 1 or 3 channels, uint8 or float from 0 to 1. An attribute ``classes`` names the labels.
        image_size: pixels of both sides.
        resize: how images become squares.
        value_range: of PIL images of more than 8 bits; without it they are refused.

    Raises:
        DataError: an item is none of these, or only some items have labels.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(
            f"{name}: expected a torch Dataset with a length and items by index, got {type(dataset).__name__}"
        )
    if len(dataset) == 0:
        raise DataError(f"{name}: the data set is empty")
    images = torch.empty(len(dataset), 3, image_size, image_size, dtype=torch.uint8)
    labels: list[int] = []
    identities: list[bytes] = []
    for index in range(len(dataset)):
        where = f"{name}, item {index}"
        try:
            item = dataset[index]
        except Exception as error:  # a user's own code may raise anything
            raise DataError(f"{where}: cannot be read: {type(error).__name__}: {error}") from error
        labelled = isinstance(item, tuple | list)
        if labelled:
            if len(item) != 2:
                raise DataError(f"{where}: expected (image, label) or an image, got {len(item)} values")
            labels.append(_label(where, item[1]))
        picture = _picture(where, item[0] if labelled else item)
        try:
            identities.append(of_bytes(picture.tobytes()))
            images[index] = torch.tensor(fit_image(picture, image_size, resize, value_range)).permute(2, 0, 1)
        except (OSError, ValueError) as error:
            raise DataError(f"{where}: {error}") from error
    if labels and len(labels) != len(dataset):
        raise DataError(f"{name}: {len(labels)} of {len(dataset)} items have labels; expected all or none")
    known = torch.tensor(labels) if labels else None
    return Domain(name, images, known, named_classes(dataset), fit=resize, identity=stacked(identities))


def named_classes(dataset: Any) -> tuple[str, ...] | None:
    """Return a data set's own class names, if it has any."""
    names = getattr(dataset, "classes", None)
    if isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None


def _label(where: str, label: Any) -> int:
    if isinstance(label, Tensor | np.generic | np.ndarray) and label.ndim == 0:
        label = label.item()
    if isinstance(label, bool) or not isinstance(label, int) or label < 0:
        raise DataError(f"{where}: a label must be an integer from 0, got {label!r}")
    return label


def _picture(where: str, image: Any) -> Image.Image:
    if isinstance(image, Tensor):
        image = Image.fromarray(_bytes(where, image))
    if not isinstance(image, Image.Image):
        raise DataError(f"{where}: expected a PIL image or a tensor (C, H, W), got {type(image).__name__}")
    return image


def _bytes(where: str, image: Tensor) -> Pixels:
    """Return ``(H, W)`` for one channel, ``(H, W, 3)`` for three."""
    got = f"got {image.dtype} {tuple(image.shape)}"
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise DataError(f"{where}: a tensor must be (C, H, W) with 1 or 3 channels, {got}")
    if image.is_floating_point():
        if not bool(((image >= 0) & (image <= 1)).all()):
            low, high = float(image.min()), float(image.max())
            raise DataError(
                f"{where}: float pixels must lie in 0 to 1, got {low:.3g} to {high:.3g}; leave out Normalize"
            )
        image = (image * 255).round().to(torch.uint8)
    if image.dtype != torch.uint8:
        raise DataError(f"{where}: a tensor must be uint8, or float from 0 to 1, {got}")
    pixels: Pixels = image.permute(1, 2, 0).numpy(force=True)  # (H, W, C)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels
