"""An image of an archive that is unpacked in memory, fitted when it is asked for."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dacn.data.fit import Fit, Pixels, fit_as
from dacn.data.read.identity import of_bytes
from dacn.data.values import Extent, Storage, ValueRange, extent_of_values, range_unknown, to_bytes
from dacn.errors import DataError

_WORDS = Storage("16-bit", countable=True)


class ArrayImage(NamedTuple):
    """One image of an array.

    Args:
        path: what messages call it.
        pixels: uint8 or uint16, grey ``(H, W)`` or ``(H, W, 3)``.
        size: pixels of both sides.
        fit: how it is brought to that size.
        value_range: of 16-bit values.
    """

    path: str
    pixels: NDArray[Any]
    size: int
    fit: Fit
    value_range: ValueRange | None = None

    def read(self) -> Pixels:
        """Return its pixels, ``(size, size, 3)``; a DataError names it where its range is not known."""
        pixels = self.pixels
        if pixels.dtype != np.uint8:
            if self.value_range is None:
                raise DataError(f"{self.path}: {range_unknown(self.extent(), _WORDS)}")
            pixels = to_bytes(pixels, self.value_range)
        return fit_as(Image.fromarray(pixels), self.size, self.fit)

    def identity(self) -> bytes:
        """Return that of its pixels."""
        return of_bytes(np.ascontiguousarray(self.pixels).tobytes())

    def extent(self) -> Extent | None:
        """Return the range of its values, None where they are bytes."""
        return None if self.pixels.dtype == np.uint8 else extent_of_values(self.pixels, _WORDS)

    def within(self, value_range: ValueRange | None) -> Self:
        """Return the same image, to be read by that range."""
        return self._replace(value_range=value_range)
