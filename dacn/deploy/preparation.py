"""How an image is brought to an exported network: in words, and as code that needs Pillow and NumPy alone.

Both say what `dacn.data.values.upright` and `dacn.data.fit.fit_as` do, for one way to fit and one range of values.
"""

from dacn.data.fit import Fit
from dacn.data.values import ValueRange

_FITTING: dict[Fit, str] = {
    "crop": "the centre square, resized to {size} x {size} (bicubic)",
    "pad": "in black margins that make it a square, resized to {size} x {size} (bicubic)",
    "stretch": "stretched to {size} x {size} (bicubic)",
    "digits": "of up to 28 pixels: enlarged to 28 and given a black margin of 2, larger ones cut to the centre square; "
    "resized to {size} x {size} (bicubic)",
}
_RESIZING: dict[Fit, str] = {
    "crop": "    image = ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.BICUBIC)  # the centre square",
    "pad": "    image = ImageOps.pad(image, (SIZE, SIZE), Image.Resampling.BICUBIC)  # in black margins",
    "stretch": "    image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)",
    "digits": """\
    if max(image.size) <= 28:  # a digit: 28 pixels within a black margin of 2
        image = ImageOps.expand(ImageOps.fit(image, (28, 28), Image.Resampling.BICUBIC), 2)
    image = ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.BICUBIC)""",
}
_SIGNED = """\
        signed = image.format == "TIFF" and 2 in np.atleast_1d(image.tag_v2.get(339, 1))
"""
_EIGHT_BITS = f"""\
{_SIGNED}\
        if signed or image.mode[0] in "IF" or ";16" in str(image.tile):
            raise ValueError(f"{{path}}: more than 8 bits; the network was trained on 8, so its range is not known")
"""
_FOUND = f"""\
{_SIGNED}\
        if signed or image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
            raise ValueError(f"{{path}}: signed, 32-bit or float values, whose range was not stated")
"""
_STATED = f"""\
{_SIGNED}\
        if image.format == "TIFF" and (image.mode, signed) in (("L", True), ("I", False)):
            raise ValueError(f"{{path}}: signed 8-bit or unsigned 32-bit values, which Pillow takes for others")
"""
_DEEP = """\
        colour = ";16" in str(image.tile) and image.mode[0] not in "IF"
        if colour and ((LOW, HIGH) != (0, 65535) or isinstance(image.info.get("transparency"), tuple)):
            raise ValueError(f"{path}: of 16-bit colour Pillow reads the upper 8 bits alone")
        stored = image.tile[0][3][1] / 65535 if image.mode == "I" and image.tile[0][0].startswith("ppm") else 1
        white_is_zero = image.format == "TIFF" and image.tag_v2.get(262) == 0
"""
_SCALING = """\
    if image.mode[0] in "IF":  # more than 8 bits: LOW becomes black, HIGH white
        values = np.asarray(image).astype(float)
        values = np.rint(values * stored) if stored != 1 else values  # of a PGM file, as they were before Pillow
        if np.isnan(values).any():
            raise ValueError(f"{path}: holds values that are no numbers")
        pixels = np.rint((values.clip(LOW, HIGH) - LOW) * (255 / (HIGH - LOW))).astype(np.uint8)
        pixels = 255 - pixels if white_is_zero else pixels
        image = Image.fromarray(np.where(values == image.info.get("transparency"), np.uint8(255), pixels))
"""


def preparation_in_words(size: int, fit: Fit, value_range: ValueRange | None, crop: int | None = None) -> str:
    """Return what to do to an image, in one sentence.

    Args:
        size: pixels of both sides.
        fit: how it is brought to them.
        value_range: of values that have more than 8 bits.
        crop: pixels of both sides of the centre square that is taken then; None: all of the image.
    """
    cut = "" if crop in (None, size) else f"; of that the centre {crop} x {crop}"
    deep = (
        "8 bits a channel"
        if value_range is None
        else f"values of more than 8 bits: {value_range.low:g} becomes 0, {value_range.high:g} becomes 255"
    )
    return (
        f"turned upright by its EXIF orientation; {deep}; transparency laid over white; RGB from 0 to 255, channels "
        f"first; {_FITTING[fit].format(size=size)}{cut}"
    )


def preparation_as_code(size: int, fit: Fit, value_range: ValueRange | None, crop: int | None = None) -> str:
    """Return the source of a function ``prepare(path)``: an image file as ``(1, 3, crop, crop)`` uint8.

    Arguments as those of `preparation_in_words`.
    """
    cut = "" if crop is None or crop == size else _cropping(size, crop)
    limits, checks, scaling = "", _EIGHT_BITS, ""
    if value_range is not None:
        limits = f"LOW, HIGH = {value_range.low!r}, {value_range.high!r}\n"
        checks, scaling = (_STATED if value_range.stated else _FOUND) + _DEEP, _SCALING
    return f"""\
import numpy as np
from PIL import Image, ImageOps

SIZE = {size}
{limits}

def prepare(path):
    with Image.open(path) as image:
{checks}\
        image.draft(None, (2 * SIZE, 2 * SIZE))  # a large JPEG is decoded at reduced size
        image = ImageOps.exif_transpose(image)
{scaling}\
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
{_RESIZING[fit]}
{cut}    return np.asarray(image).transpose(2, 0, 1)[None]
"""


def _cropping(size: int, crop: int) -> str:
    start = round((size - crop) / 2)
    return f"    image = image.crop(({start}, {start}, {start + crop}, {start + crop}))  # its centre\n"
