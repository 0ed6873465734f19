"""Images to predict on, read a batch at a time: a folder, a single file, or an .npz archive."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dacn.data.fit import Fit
from dacn.data.read.image_file import ImageFile
from dacn.data.read.images import Streamed
from dacn.data.read.npz import array_images, raw_images
from dacn.data.read.passed_over import PassedOver, describe_passed_over
from dacn.data.read.ranges import by_range, find_extents, remarks
from dacn.data.read.search import Search, is_image, similar_name_hint
from dacn.data.values import ValueRange
from dacn.errors import DataError


class Chunk(NamedTuple):
    """Some of the images. Row i of ``images`` means nothing where ``problems[i]`` says why it could not be read."""

    names: list[str]
    images: Tensor  # (B, 3, S, S) uint8
    problems: list[str | None]


class ImageFiles:
    """Images that are read when their turn comes.

    Args:
        names: of the images, in order.
        images: what is read; its problems begin with the name.
        value_range: what values of more than 8 bits are read by.
        passed_over: what lies there and is not read.
    """

    def __init__(
        self,
        names: Sequence[str],
        images: Streamed,
        value_range: ValueRange | None = None,
        passed_over: tuple[PassedOver, ...] = (),
    ) -> None:
        self.names, self.images, self.value_range = names, by_range(images, value_range), value_range
        self.passed_over = passed_over

    def __len__(self) -> int:
        return len(self.names)

    def notes(self) -> list[str]:
        """Return what to tell of images of more than 8 bits; their values are looked up for it."""
        extents = find_extents(self.images.items, self.images.workers)
        return [*remarks("images", self.images.items, extents, self.value_range)]

    def chunks(self, count: int) -> Iterator[Chunk]:
        """Yield up to ``count`` images at a time; no more than these are held in memory."""
        for start in range(0, len(self), count):
            rows = range(len(self))[start : start + count]
            images = torch.zeros(len(rows), *self.images.shape[1:], dtype=torch.uint8)
            problems: list[str | None] = [None] * len(rows)
            for place, (row, outcome) in enumerate(zip(rows, self.images.outcomes(rows), strict=True)):
                if isinstance(outcome, DataError):
                    problems[place] = " ".join(str(outcome).removeprefix(f"{self.names[row]}: ").split())
                else:
                    images[place] = torch.from_numpy(outcome)
            yield Chunk([self.names[row] for row in rows], images, problems)


def open_images(
    path: Path, size: int, fit: Fit, value_range: ValueRange | None = None, *, crop: int | None = None
) -> ImageFiles:
    """Return the images at ``path``: every image file below a folder in the order of their names, one file, an archive.

    What is no image in a folder is passed over and counted, as `dacn.data.read.folder.folder` does. An archive is
    unpacked in memory.

    Args:
        path: a folder, an image file or an .npz archive with ``images`` (see `dacn.data.read.npz.npz`).
        size: pixels of both sides.
        fit: how the images are brought to that size.
        value_range: of values that have more than 8 bits; images with such values cannot be read without it.
        crop: pixels of both sides of the centre square that is taken then; None: all of the image.

    Raises:
        DataError: there is no such path, a folder that cannot be read, or no image.
    """
    if path.suffix.lower() == ".npz" and path.is_file():
        images = array_images(path, raw_images(path), size, fit).cropped(crop)
        return ImageFiles([f"{path}[{index}]" for index in range(len(images))], images, value_range)
    files, passed_over = _found(path)
    images = Streamed([ImageFile(file, size, fit) for file in files], size, crop=crop)
    return ImageFiles([*map(str, files)], images, value_range, passed_over)


def _found(path: Path) -> tuple[list[Path], tuple[PassedOver, ...]]:
    try:
        there, is_folder = path.exists(), path.is_dir()
    except OSError as error:  # a folder above it that may not be entered
        raise DataError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    if is_folder:
        search = Search(path)
        files = search.images_below(path)
        search.require_open()
        passed_over = search.tally.result()
        if not files:
            told = describe_passed_over(path, passed_over)
            raise DataError(f"{path}: no images in this folder or below" + (f"\n{told}" if told else ""))
        return files, passed_over
    if not there:
        raise DataError(f"{path}: no such file or folder{similar_name_hint(path)}")
    if not is_image(path):
        raise DataError(
            f"{path}: not an image, neither by its name nor by its content; expected a folder, an image or "
            "an .npz archive"
        )
    return [path], ()
