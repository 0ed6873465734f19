"""The code that comes with an exported file brings an image to the network as `dacn predict` does."""

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dacn.data.fit import Fit
from dacn.data.read.image_files import open_images
from dacn.data.values import ValueRange
from dacn.deploy.export import export_run
from dacn.deploy.preparation import preparation_as_code, preparation_in_words
from tests import made_up
from tests.deep_images import RAMP, write_pgm, write_png, write_tiff
from tests.trained import a_run

DOCS = Path(__file__).parents[2]
FITS: tuple[Fit, ...] = ("crop", "pad", "stretch", "digits")
RANGES = (None, ValueRange(0, 4095, stated=False), ValueRange(-100, 3000.5), ValueRange(0, 65535))


def write_files(folder: Path) -> Path:
    """Write images whose preparation has more to it than a resize, among them some that cannot be prepared."""
    folder.mkdir()
    random = np.random.default_rng(0)

    def noise(*shape: int) -> Image.Image:
        return Image.fromarray(random.integers(0, 256, shape, np.uint8))

    for orientation in range(1, 9):
        turned = Image.Exif()
        turned[0x0112] = orientation
        noise(90, 40, 3).save(folder / f"phone{orientation}.jpg", exif=turned)
    noise(400, 300, 3).save(folder / "large.jpg", quality=90)  # decoded at reduced size
    noise(30, 20, 4).save(folder / "see_through.png")
    noise(30, 20, 2).save(folder / "grey_and_alpha.png")
    noise(25, 40).convert("P").save(folder / "palette.png", transparency=random.bytes(256))
    noise(25, 40).convert("P").save(folder / "palette.gif", transparency=3)
    noise(25, 40, 3).save(folder / "lossless.webp", lossless=True)
    noise(20, 30).convert("1").save(folder / "black_and_white.png")
    noise(20, 30, 4).convert("CMYK").save(folder / "print.jpg")
    noise(16, 16, 3).save(folder / "as_it_is.png")
    noise(28, 28).save(folder / "digit.png")
    noise(9, 12).save(folder / "small_digit.png")
    write_png(folder / "deep.png", RAMP[:, :11])
    write_png(folder / "deep_transparent.png", RAMP, transparent=int(RAMP[0, 3]))
    write_png(folder / "deep_colour.png", np.stack([RAMP * 16] * 3, axis=-1))
    write_png(folder / "deep_alpha.png", np.stack([RAMP * 16, np.full_like(RAMP, 30000)], axis=-1))
    write_tiff(folder / "deep.tif", RAMP.astype("<u2"), white_is_zero=True)
    write_tiff(folder / "big_endian.tif", RAMP.astype(">u2"))
    write_tiff(folder / "dim_colour.tif", np.stack([RAMP] * 3, axis=-1).astype("<u2"))
    write_png(folder / "transparent_colour.png", np.stack([RAMP * 16] * 3, axis=-1), transparent=4352)
    signed = RAMP.astype("<i4") - 2000
    write_tiff(folder / "int8.tif", (signed // 20).astype("i1"))
    write_tiff(folder / "int16.tif", signed.astype(">i2"))
    write_tiff(folder / "int32.tif", signed)
    write_tiff(folder / "float.tif", signed.astype("<f4"), white_is_zero=True)
    write_tiff(folder / "not_numbers.tif", np.full_like(signed, np.nan, dtype="<f4"))
    write_pgm(folder / "deep.pgm", RAMP)
    write_pgm(folder / "twelve_bits.pgm", RAMP, 4095)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(RAMP).save(folder / "deep_turned.png", exif=turned)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("files") / "files")


@pytest.mark.parametrize("value_range", RANGES, ids=str)
@pytest.mark.parametrize("fit", FITS)
def test_the_code_does_what_predict_does(fit: Fit, value_range: ValueRange | None, files: Path) -> None:
    code: dict[str, Any] = {}
    exec(preparation_as_code(16, fit, value_range), code)
    (chunk,) = open_images(files, 16, fit, value_range).chunks(100)
    prepared = 0
    for name, image, problem in zip(*chunk, strict=True):
        if Path(name).name == "int8.tif" and value_range is not None and value_range.stated:
            assert problem is None  # the code says that Pillow cannot, as it needs to
            problem = "signed"
        if problem is not None:
            with pytest.raises(ValueError, match=re.escape(name)):
                code["prepare"](name)
            continue
        pixels = code["prepare"](name)
        assert (pixels.dtype, pixels.shape) == (np.uint8, (1, 3, 16, 16))
        assert np.array_equal(pixels[0], image), name
        prepared += 1
    # All that is deep; signed and float values, and colour, as long as nobody says, or says another range.
    refused = {None: 16, RANGES[1]: 9, RANGES[2]: 6, RANGES[3]: 3}
    assert prepared == len(chunk.names) - refused[value_range]


@pytest.mark.parametrize(("size", "crop"), [(20, 16), (21, 16), (19, 16), (16, 16)])
def test_the_code_takes_the_centre_that_predict_takes(size: int, crop: int, files: Path) -> None:
    code: dict[str, Any] = {}
    exec(preparation_as_code(size, "crop", None, crop), code)
    for name in ("phone6.jpg", "large.jpg", "see_through.png"):
        (chunk,) = open_images(files / name, size, "crop", crop=crop).chunks(1)
        assert np.array_equal(code["prepare"](files / name), chunk.images)
    words = preparation_in_words(size, "crop", None, crop)
    assert ("of that the centre 16 x 16" in words) == (size > crop)


def test_the_code_needs_pillow_and_numpy_alone() -> None:
    for fit, value_range in itertools.product(FITS, RANGES):
        code = preparation_as_code(64, fit, value_range)
        assert re.findall(r"^\s*(?:import|from) (\w+)", code, re.MULTILINE) == ["numpy", "PIL"]
        assert max(map(len, code.splitlines())) <= 120


def test_the_words_name_each_step() -> None:
    text = preparation_in_words(64, "crop", None)
    steps = ("EXIF orientation", "8 bits a channel", "transparency laid over white", "RGB from 0 to 255", "64 x 64")
    assert [text.index(step) for step in steps] == sorted(text.index(step) for step in steps)
    assert "more than 8 bits: 0 becomes 0, 4095 becomes 255" in preparation_in_words(64, "pad", ValueRange(0, 4095))


def test_it_stands_among_the_facts_of_an_export(tmp_path: Path) -> None:
    facts = export_run(a_run(tmp_path / "run"), format="exported", out=tmp_path / "net.pt2", context="source")
    assert facts["range"] is None
    assert facts["preparation"] == preparation_in_words(16, "digits", None, 16)
    assert facts["preparation_code"] == preparation_as_code(16, "digits", None)


def test_the_tutorial_prints_this_code(files: Path) -> None:
    """The documentation's lines are those of a run with `resize: crop` and images of 8 bits."""
    text = (DOCS / "docs" / "tutorial.md").read_text("utf-8")
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "onnxruntime" in block)
    assert preparation_as_code(64, "crop", None).partition("\n\n")[2] in block


def test_images_that_no_file_is_fitted_to_have_no_code(tmp_path: Path) -> None:
    pair = made_up.pair()
    wide = {key: replace(part, images=part.images[:, :, :12]) for key, part in pair.domains.items()}
    run = a_run(tmp_path / "run", pair=replace(pair, **wide))
    facts = export_run(run, format="exported", out=tmp_path / "net.pt2", context="target")
    assert facts["preparation"] == "RGB from 0 to 255, channels first, 12 x 16, made as for training"
    assert "preparation_code" not in facts
