"""An image file, decoded when it is asked for."""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple, Self

from PIL import Image

from dacn.data.fit import Fit, Pixels, fit_as
from dacn.data.read.identity import of_file
from dacn.data.read.images import Images, Streamed
from dacn.data.values import Extent, ValueRange, extent_of, upright
from dacn.errors import DataError

_UNREADABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow's decoders raise on a damaged file."""


class ImageFile(NamedTuple):
    """An image that is decoded when it is asked for."""

    path: Path
    size: int  # pixels of both sides
    fit: Fit
    value_range: ValueRange | None = None  # of values that have more than 8 bits

    def read(self) -> Pixels:
        """Return its pixels, ``(size, size, 3)``; a DataError names the file where it cannot be read."""
        try:
            with Image.open(self.path) as image:
                image.draft(None, (2 * self.size, 2 * self.size))  # a large JPEG is decoded at reduced size
                return fit_as(upright(image, self.value_range), self.size, self.fit)
        except _UNREADABLE as error:
            raise DataError(f"{self.path}: {error}") from error

    def identity(self) -> bytes:
        """Return that of the file's bytes, whatever it is called."""
        try:
            return of_file(self.path)
        except OSError as error:
            raise DataError(f"{self.path}: {error}") from error

    def extent(self) -> Extent | None:
        """Return the range of its values; None where they are bytes, or cannot be read."""
        try:
            with Image.open(self.path) as image:
                return extent_of(image)
        except _UNREADABLE:
            return None

    def within(self, value_range: ValueRange | None) -> Self:
        """Return the same file, to be read by that range."""
        return self._replace(value_range=value_range)

    def original_size(self) -> tuple[int, int] | None:
        """Return width and height as the file's header has them, or None where it cannot be read."""
        try:
            with Image.open(self.path) as image:
                return image.size
        except _UNREADABLE:
            return None


def original_sizes(images: Images, most: int = 500) -> list[tuple[int, int]]:
    """Return ``(width, height)`` of up to ``most`` files, evenly spaced, from their headers; no others have any."""
    if not isinstance(images, Streamed):
        return []
    rows = {row * (len(images) - 1) // (most - 1) for row in range(most)}
    sizes = [item.original_size() for row in rows if isinstance(item := images.items[row], ImageFile)]
    return [size for size in sizes if size is not None]
