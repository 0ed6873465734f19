"""Images to predict on, read a batch at a time: a folder, a single file, or an .npz archive."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor

from dacn.data.fit import Fit, Pixels, fit_as
from dacn.data.folder import _UNREADABLE, SUFFIXES, _is_image
from dacn.data.npz import raw_images
from dacn.errors import DataError, did_you_mean

_SUFFIXES = ", ".join(sorted(SUFFIXES))


class Chunk(NamedTuple):
    """Some of the images. Row i of ``images`` means nothing where ``problems[i]`` says why it could not be read."""

    names: list[str]
    images: Tensor  # (B, 3, S, S) uint8
    problems: list[str | None]


class ImageFiles:
    """Images that are read when their turn comes.

    Args:
        names: of the images, in order.
        read: returns the pixels ``(S, S, 3)`` of the image of an index.
        size: pixels of both sides, S.
    """

    def __init__(self, names: Sequence[str], read: Callable[[int], Pixels], size: int) -> None:
        self.names, self.read, self.size = names, read, size

    def __len__(self) -> int:
        return len(self.names)

    def chunks(self, count: int) -> Iterator[Chunk]:
        """Yield up to ``count`` images at a time; no more than these are held in memory."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes without holding Python's lock
            for start in range(0, len(self), count):
                indices = range(len(self))[start : start + count]
                images = torch.zeros(len(indices), 3, self.size, self.size, dtype=torch.uint8)
                problems = list(pool.map(self._fill, images, indices))
                yield Chunk([self.names[index] for index in indices], images, problems)

    def _fill(self, row: Tensor, index: int) -> str | None:
        """Read one image into its row ``(3, S, S)``, or return what is wrong with it."""
        try:
            row.copy_(torch.tensor(self.read(index)).permute(2, 0, 1))
        except _UNREADABLE as error:
            return " ".join(str(error).split()) or type(error).__name__
        return None


def open_images(path: Path, size: int, fit: Fit) -> ImageFiles:
    """Return the images at ``path``: every image file below a folder in the order of their names, one file, an archive.

    Hidden files and files that are no images by their suffix are passed over. An archive is unpacked in memory.

    Args:
        path: a folder, an image file or an .npz archive with ``images`` (see `dacn.data.npz.npz`).
        size: pixels of both sides.
        fit: how the images are brought to that size.

    Raises:
        DataError: there is no such path, or no image in it.
    """
    if path.suffix.lower() == ".npz" and path.is_file():
        arrays = raw_images(path)
        names = [f"{path}[{index}]" for index in range(len(arrays))]
        return ImageFiles(names, lambda index: fit_as(Image.fromarray(arrays[index]), size, fit), size)
    files = _found(path)
    return ImageFiles([str(file) for file in files], lambda index: _read_file(files[index], size, fit), size)


def _found(path: Path) -> list[Path]:
    if path.is_dir():
        found = (file for file in path.rglob("*") if _is_image(file, path))
        files = sorted(file for file in found if "__MACOSX" not in file.relative_to(path).parts)
        if not files:
            raise DataError(f"{path}: no images in this folder or below; expected files ending in {_SUFFIXES}")
        return files
    if not path.exists():
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"{path}: no such file or folder{did_you_mean(path.name, near)}")
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: no image by its name; expected a folder, or a file ending in {_SUFFIXES} or .npz")
    return [path]


def _read_file(file: Path, size: int, fit: Fit) -> Pixels:
    """Return one image, turned upright, as `dacn.data.folder.folder` reads it."""
    with Image.open(file) as image:
        image.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at reduced size
        return fit_as(ImageOps.exif_transpose(image), size, fit)
