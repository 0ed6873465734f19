"""What a file stores is what is read: every kind that Pillow opens, against the array that was written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dacn.data.values import ValueRange, extent_of, storage_of, to_bytes, to_eight_bits, upright
from tests.deep_images import RAMP, write_pgm, write_png, write_tiff

TWELVE = ValueRange(0, 4095)
EXPECTED = np.floor(RAMP.astype(float) * 255 / 4095 + 0.5)
Write = Callable[[Path], Path]
SIGNED = RAMP.astype("<i4") - 2000
STORED: dict[str, tuple[Write, str, float, float]] = {
    "png": (lambda path: write_png(path, RAMP), "16-bit", 0, 4080),
    "tiff": (lambda path: write_tiff(path, RAMP.astype("<u2")), "16-bit", 0, 4080),
    "big-endian tiff": (lambda path: write_tiff(path, RAMP.astype(">u2")), "16-bit", 0, 4080),
    "pgm": (lambda path: write_pgm(path, RAMP), "16-bit", 0, 4080),
    "pgm of 12 bits": (lambda path: write_pgm(path, RAMP, 4095), "16-bit", 0, 4080),
    "int32": (lambda path: write_tiff(path, RAMP.astype("<i4")), "32-bit integer", 0, 4080),
    "uint32": (lambda path: write_tiff(path, RAMP.astype("<u4") * 10**6), "32-bit integer", 0, 4.08e9),
    "int16": (lambda path: write_tiff(path, SIGNED.astype("<i2")), "signed 16-bit", -2000, 2080),
    "big-endian int16": (lambda path: write_tiff(path, SIGNED.astype(">i2")), "signed 16-bit", -2000, 2080),
    "int8": (lambda path: write_tiff(path, (SIGNED // 20).astype("i1")), "signed 8-bit", -100, 104),
    "float": (lambda path: write_tiff(path, RAMP.astype("<f4") / 4096), "32-bit float", 0, 4080 / 4096),
    "big-endian float": (lambda path: write_tiff(path, RAMP.astype(">f4")), "32-bit float", 0, 4080),
}


@pytest.mark.parametrize("kind", STORED)
def test_the_range_of_what_is_stored(kind: str, tmp_path: Path) -> None:
    write, name, low, high = STORED[kind]
    with Image.open(write(tmp_path / "image")) as image:
        found = extent_of(image)
    assert found is not None
    assert (found.storage.name, found.low, found.high) == (name, low, high)
    assert found.storage.countable == (name == "16-bit")


@pytest.mark.parametrize("kind", STORED)
def test_values_become_bytes_by_the_stated_range(kind: str, tmp_path: Path) -> None:
    write, _, low, high = STORED[kind]
    middle = np.interp(RAMP, [0, 4080], [low, high])  # what was written
    with Image.open(write(tmp_path / "image")) as image:
        pixels = np.asarray(upright(image, ValueRange(low, high)))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - (middle - low) * 255 / (high - low)).max() <= (1.3 if kind == "int8" else 0.5 + 1e-6)


@pytest.mark.parametrize("kind", STORED)
def test_without_a_range_they_are_refused_by_what_they_are(kind: str, tmp_path: Path) -> None:
    write, name, low, high = STORED[kind]
    path = write(tmp_path / "image")
    for value_range in (None, *([] if name == "16-bit" else [ValueRange(0, 4095, stated=False)])):
        with Image.open(path) as image, pytest.raises(ValueError, match="whose range nobody knows") as caught:
            upright(image, value_range)
        assert str(caught.value).startswith(f"{name} values from {low:g} to {high:g}, ")
        assert "data.range: [low, high]" in str(caught.value)


def test_a_found_range_holds_for_unsigned_16_bit_values() -> None:
    image = Image.fromarray(RAMP)
    assert np.array_equal(to_eight_bits(image, TWELVE._replace(stated=False)), EXPECTED)


@pytest.mark.parametrize("dtype", ["<u2", "<f4"])
def test_where_zero_is_white(dtype: str, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "image.tif", RAMP.astype(dtype), white_is_zero=True)
    with Image.open(path) as image:
        assert np.array_equal(upright(image, TWELVE), 255 - EXPECTED)


def test_bytes_stay_what_they_are(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"):
        image = Image.new(mode, (3, 2))
        assert storage_of(image).name == ""
        assert extent_of(image) is None
        assert to_eight_bits(image, TWELVE) is image
    eight = (RAMP // 16).astype("u1")
    with Image.open(write_tiff(tmp_path / "inverted.tif", eight, white_is_zero=True)) as image:
        assert np.array_equal(upright(image, None), 255 - eight)  # Pillow's own doing


def test_a_transparent_grey_of_16_bits_is_laid_over_white(tmp_path: Path) -> None:
    with Image.open(write_png(tmp_path / "image.png", RAMP, transparent=int(RAMP[0, 3]))) as image:
        pixels = np.asarray(upright(image, TWELVE))
    assert (pixels[:, 3] == 255).all()
    others = np.arange(16) != 3
    assert np.array_equal(pixels[:, others], EXPECTED[:, others])


COLOURS = {"grey and alpha": 2, "rgb": 3, "rgb and alpha": 4}


@pytest.mark.parametrize("channels", COLOURS.values(), ids=COLOURS)
def test_16_bit_colour_takes_the_full_range_alone(channels: int, tmp_path: Path) -> None:
    values = np.stack([RAMP * 16] * channels, axis=-1)
    if channels in (2, 4):
        values[..., -1] = 65535
    path = write_png(tmp_path / "image.png", values)
    with Image.open(path) as image:
        found = extent_of(image)
        pixels = np.asarray(upright(image, ValueRange(0, 65535, stated=False)).convert("RGB"))
    assert found is not None
    assert (found.low, found.high, found.storage.countable) == (0, 65535, True)
    assert np.abs(pixels - (RAMP * 16 / 257)[..., None]).max() < 1
    for value_range, told in ((TWELVE, "in a range of 0 to 4095"), (None, "whose range nobody knows")):
        with Image.open(path) as image, pytest.raises(ValueError, match=f"{told}: only its upper 8 bits can be read"):
            upright(image, value_range)


def test_dim_16_bit_colour_is_seen_by_its_range(tmp_path: Path) -> None:
    for name, write in (("png", write_png), ("tif", write_tiff)):
        with Image.open(write(tmp_path / f"image.{name}", np.stack([RAMP] * 3, axis=-1).astype("<u2"))) as image:
            found = extent_of(image)
        assert found is not None
        assert found.high == 4095  # of 4080 the upper byte is known


def test_a_transparent_colour_of_16_bits_cannot_be_told(tmp_path: Path) -> None:
    path = write_png(tmp_path / "image.png", np.stack([RAMP * 16] * 3, axis=-1), transparent=4352)
    with Image.open(path) as image, pytest.raises(ValueError, match="a transparent colour of 16 bits"):
        upright(image, ValueRange(0, 65535))


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    values = RAMP.astype(np.float32)
    values[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"no numbers \(NaN\)"):
        to_bytes(values, TWELVE)
    with Image.open(write_tiff(tmp_path / "image.tif", values)) as image:
        found = extent_of(image)
    assert found is not None
    assert (found.low, found.high) == (0, 4080)
    values[:] = np.nan
    with Image.open(write_tiff(tmp_path / "image.tif", values)) as image:
        assert extent_of(image) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_bytes_are_rounded_and_what_lies_outside_is_clipped(dtype: type) -> None:
    values = np.arange(0, 250, dtype=dtype)
    plain = [min(max(round((int(value) - 10) * 255 / 190), 0), 255) for value in values]
    assert to_bytes(values, ValueRange(10, 200)).tolist() == plain


def test_a_camera_that_lay_on_its_side(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(RAMP).save(tmp_path / "image.png", exif=turned)
    with Image.open(tmp_path / "image.png") as image:
        assert np.array_equal(upright(image, TWELVE), np.rot90(EXPECTED, -1))
