"""Decoded images in one file of a folder: decoded once, in this run or another, and read as bytes from then on.

The file is of a set of images at one size. Its name is their fingerprint, of what was decoded and by what, so that
other images, another size or another decoder never meet it; it is whole or not there; and what is read from it is what
was decoded, to the bit. Bytes are read and not mapped: mapped pages would count as the process's memory.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import features
from torch import Tensor

from dacn.data.fit import Pixels
from dacn.data.read.image_file import ImageFile
from dacn.data.read.images import Streamed
from dacn.errors import DataError

FORM = "1"
"""Of the file, and of how images are decoded and fitted: another one with every change to `dacn.data.fit`."""
SPARED = 2**30
"""Bytes that are left free on the disk."""


class CachedImage(NamedTuple):
    """An image whose bytes lie in a file of decoded ones."""

    path: Path
    row: int
    size: int  # pixels of both sides

    def read(self) -> Pixels:
        """Return its pixels, ``(size, size, 3)``; a DataError names the file where it cannot be read."""
        count = 3 * self.size * self.size
        try:
            pixels = np.fromfile(self.path, np.uint8, count, offset=self.row * count)
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror or error}") from error
        if len(pixels) < count:
            raise DataError(f"{self.path}: was cut short; remove it, and run again")
        return pixels.reshape(3, self.size, self.size).transpose(1, 2, 0)

    def identity(self) -> bytes:
        """Return that of its pixels; that of the file which these were decoded from is the domain's."""
        return blake2b(self.read().tobytes(), digest_size=8).digest()


def cache_file(images: Streamed, identity: Tensor, folder: Path) -> Path:
    """Return where the decoded images of some files lie, or are to.

    Args:
        images: image files.
        identity: what tells each of these from others, ``(N,)`` int64.
        folder: of all such files.
    """
    digest = blake2b(digest_size=16)
    for part in (FORM, PIL.__version__, features.version("jpg"), features.version("libjpeg_turbo"), images.size):
        digest.update(f"{part}\0".encode())
    digest.update(identity.numpy().astype("<i8").tobytes())
    for item in images.items:
        assert isinstance(item, ImageFile)
        digest.update(f"{item.fit} {item.value_range}\0".encode())
    return folder / f"{len(images)}x{images.size}-{digest.hexdigest()}.bytes"


def holds(path: Path, images: Streamed) -> bool:
    """Whether the file of these images is there."""
    try:
        return path.stat().st_size == _bytes(images)
    except OSError:
        return False


def read_from(path: Path, images: Streamed) -> Streamed:
    """Return the same images, read from a file of decoded ones."""
    return images.of_items([CachedImage(path, row, images.size) for row in range(len(images))])


def why_not(path: Path, images: Streamed) -> str | None:
    """Return why the file cannot be written; None where it can."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if not os.access(path.parent, os.W_OK):
        return "permission denied"
    needed = _bytes(images)
    if needed + SPARED > free:
        return f"needs {needed / 2**30:.1f} GiB and {SPARED / 2**30:.0f} to spare, and {free / 2**30:.1f} are free"
    return None


@contextmanager
def writing(path: Path) -> Iterator[Callable[[Pixels], None]]:
    """Yield what writes one image after the other, ``(3, size, size)``; the file takes its name when all went well.

    Raises:
        OSError: the disk is full, or gone.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # runs side by side write one each
    try:
        with partial.open("wb") as file:

            def write(pixels: Pixels) -> None:
                file.write(pixels.data)

            yield write
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _bytes(images: Streamed) -> int:
    return math.prod((len(images), 3, images.size, images.size))
