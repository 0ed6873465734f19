"""Pixels of more than eight bits: what range a file stores, and how it becomes bytes.

Sixteen bits say how finely a camera may have counted, not what it called white: 12-bit cameras, microscopes and
``np.uint16`` arrays use a part. So the range is stated (``data.range``) or found over all images of a run; it is never
guessed image by image, which would make each as bright as the next.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FULL = 65535
STEPS = (255, 1023, 4095, 16383, FULL)
"""What 16-bit values may count up to, where nobody says: 8, 10, 12, 14 or 16 bits."""

_SAMPLE_FORMAT, _PHOTOMETRIC = 339, 262  # tags of TIFF
_SIGNED, _WHITE_IS_ZERO = 2, 0


class ValueRange(NamedTuple):
    """What becomes black and what white.

    Args:
        low: becomes 0, as does everything below.
        high: becomes 255, as does everything above.
        stated: by a person; a range that was found holds for unsigned 16-bit values alone.
    """

    low: float
    high: float
    stated: bool = True

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.low:g} to {self.high:g}"


class Storage(NamedTuple):
    """How a file stores its pixels.

    Args:
        name: in words; empty for 8 bits.
        countable: whether values are unsigned with at most 16 bits, so that their range can be found.
        view: the type that Pillow takes for another, or None.
        white_is_zero: whether 0 is white, which Pillow undoes in 8 bits and in no more.
        halved: whether Pillow hands over the upper byte of each value alone.
        stretched_from: the value that Pillow made 65535, in a PGM file whose header calls another white; else 0.
    """

    name: str = ""
    countable: bool = False
    view: str | None = None
    white_is_zero: bool = False
    halved: bool = False
    stretched_from: int = 0


class Extent(NamedTuple):
    """The least and the greatest value of an image, and how it is stored."""

    low: float
    high: float
    storage: Storage


def storage_of(image: Image.Image) -> Storage:
    """Return how an image is stored; of one that is decoded already, as far as its mode tells."""
    raw, tags = _raw_mode(image), getattr(image, "tag_v2", {})
    signed = image.format == "TIFF" and _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 0))
    inverted = image.format == "TIFF" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if image.mode == "F":
        return Storage("32-bit float", white_is_zero=inverted)
    if image.mode.startswith("I;16"):
        return Storage("16-bit", countable=True, white_is_zero=inverted)
    if image.mode == "I":
        tiles = getattr(image, "tile", None)
        if image.format == "PPM" and tiles and tiles[0][0] in ("ppm", "ppm_plain"):
            return Storage("16-bit", countable=True, stretched_from=int(tiles[0][3][1]))
        if image.format == "PPM" or raw in ("I;16", "I;16B", "I;16L", "I;16N"):
            return Storage("16-bit", countable=True, white_is_zero=inverted)
        if raw.startswith("I;16"):
            return Storage("signed 16-bit", white_is_zero=inverted)
        unsigned = "uint32" if image.format == "TIFF" and not signed else None
        return Storage("32-bit integer", view=unsigned, white_is_zero=inverted)
    if ";16" in raw:
        return Storage("16-bit colour or transparency", countable=True, halved=True)
    if image.mode == "L" and signed:
        return Storage("signed 8-bit", view="int8")
    return Storage()


def extent_of(image: Image.Image) -> Extent | None:
    """Return the range of an image's values, or None where they are bytes already."""
    storage = storage_of(image)
    if not storage.name:
        return None
    if storage.halved:
        colours = [image.getchannel(band).getextrema() for band in image.getbands() if band not in "AaX"]
        low, high = zip(*colours, strict=True)
        return Extent(256 * min(low), 256 * max(high) + 255, storage)
    return extent_of_values(_values(image, storage), storage)


def extent_of_values(values: NDArray[Any], storage: Storage) -> Extent | None:
    """Return the range of values that are numbers, or None where none is."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return Extent(float(finite.min()), float(finite.max()), storage) if finite.size else None


def to_eight_bits(image: Image.Image, value_range: ValueRange | None, storage: Storage | None = None) -> Image.Image:
    """Return an image of 8 bits a channel: as it is, or its values from ``low`` to ``high`` as 0 to 255.

    Args:
        image: any mode that Pillow reads.
        value_range: what becomes black and what white; None where nobody knows.
        storage: of an image that was decoded or turned since it was opened.

    Raises:
        ValueError: the range is not known, or Pillow does not hand over what it takes.
    """
    storage = storage_of(image) if storage is None else storage
    if not storage.name:
        return image
    if storage.halved:
        return _halved(image, value_range, storage)
    values = _values(image, storage)
    if value_range is None or not (value_range.stated or storage.countable):
        raise ValueError(range_unknown(extent_of_values(values, storage), storage))
    pixels = to_bytes(values, value_range)
    transparent = image.info.get("transparency")
    if storage.white_is_zero:
        pixels = 255 - pixels
    if isinstance(transparent, int):
        pixels[values == transparent] = 255  # laid over white, as all that is transparent
    return Image.fromarray(pixels)


def to_bytes(values: NDArray[Any], value_range: ValueRange) -> NDArray[np.uint8]:
    """Return values of any type as bytes, rounded; what lies outside the range becomes 0 or 255.

    >>> to_bytes(np.array([0, 2048, 4095, 9999], np.uint16), ValueRange(0, 4095)).tolist()
    [0, 128, 255, 255]

    Raises:
        ValueError: a value is not a number.
    """
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError("holds values that are no numbers (NaN)")
    low, high, _ = value_range
    scaled = (np.clip(values.astype(np.float64), low, high) - low) * (255 / (high - low))
    return np.rint(scaled).astype(np.uint8)


def range_unknown(extent: Extent | None, storage: Storage) -> str:
    """Return what to say of values whose range is not known."""
    span = "" if extent is None else f" from {extent.low:g} to {extent.high:g}"
    return (
        f"{storage.name} values{span}, whose range nobody knows; state what becomes black and what white "
        "(data.range: [low, high]; range=(low, high) in Python), or save it with 8 bits"
    )


def upright(image: Image.Image, value_range: ValueRange | None) -> Image.Image:
    """Return an image that was just opened as 8 bits a channel, turned as its EXIF orientation says.

    Raises:
        ValueError: as `to_eight_bits`.
    """
    storage = storage_of(image)
    return to_eight_bits(ImageOps.exif_transpose(image), value_range, storage)


def _halved(image: Image.Image, value_range: ValueRange | None, storage: Storage) -> Image.Image:
    """Return an image of which Pillow reads the upper bytes: good for the full range and no other."""
    if value_range is None or value_range[:2] != (0, FULL):
        known = "whose range nobody knows" if value_range is None else f"in a range of {value_range}"
        raise ValueError(
            f"{storage.name}, {known}: only its upper 8 bits can be read, so it takes the full range, data.range: "
            f"[0, {FULL}]; else save it with 8 bits"
        )
    if isinstance(image.info.get("transparency"), tuple):
        raise ValueError("a transparent colour of 16 bits, of which only the upper 8 can be read; save it with 8 bits")
    return image


def _values(image: Image.Image, storage: Storage) -> NDArray[Any]:
    values = np.asarray(image)
    if storage.stretched_from:
        return np.rint(values * (storage.stretched_from / FULL)).astype(np.uint16)
    return values if storage.view is None else values.view(storage.view)


def _raw_mode(image: Image.Image) -> str:
    """Return Pillow's name for the layout of the bytes in a file; empty once they are decoded."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
