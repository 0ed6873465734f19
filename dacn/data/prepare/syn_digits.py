"""Synthetic digits: rendered from fonts, one to three in an image, in colour, turned, blurred, before clutter.

The same seed gives the same images with the same version of Pillow, which draws them, and the same fonts.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from dacn.data.known.names import DIGITS
from dacn.data.prepare.images import Pixels, write_images
from dacn.data.prepare.manifest import Manifest
from dacn.data.prepare.options import FORCE, LIMIT, ROOT, SEED, preparing
from dacn.errors import DataError

SIZE = 32
COUNTS = {"train": 60000, "test": 10000}
_DRAWN = 2 * SIZE  # drawn at twice the size and reduced, which smooths the edges
_SHIPPED = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
)
"""The fonts for text that come with matplotlib."""

Colour = tuple[int, int, int]


def syn_digits(
    root: Path, fonts: Sequence[Path] = (), *, seed: int = 0, limit: int | None = None, force: bool = False
) -> None:
    """Write ``root/syn_digits/train.npz`` and ``test.npz``, as many images of each digit.

    Args:
        root: where to write.
        fonts: font files, or folders of them, beside those that come with matplotlib.
        seed: of everything drawn.
        limit: only so many images of each part.
        force: make anew what is there.

    Raises:
        DataError: a font that is absent or cannot be read.

    Reference: SYN DIGITS of Ganin et al. 2016 (arXiv 1505.07818): numbers of one to three digits, varied in place,
        angle, colours and blur. Fonts, clutter and counts are dacn's own.
    """
    files = font_files(fonts)
    settings = {"seed": seed, "limit": limit, "fonts": _fingerprint(files)}
    manifest = Manifest(root / "syn_digits", settings, force)
    for number, (part, count) in enumerate(COUNTS.items()):
        labels = np.arange(min(count, limit or count)) % 10

        def make(start: int, stop: int, number: int = number) -> Pixels:
            return np.stack([draw(files, i % 10, np.random.default_rng((seed, number, i))) for i in range(start, stop)])

        write_images(manifest, f"{part}.npz", make, labels.astype(np.int64), DIGITS)


def draw(fonts: Sequence[Path], digit: int, random: np.random.Generator) -> Pixels:
    """Return one image: ``digit`` in the middle, perhaps with neighbours that the border cuts.

    Args:
        fonts: to choose from.
        digit: 0 to 9.
        random: makes every choice.

    Shape: ``(32, 32, 3)``.
    """
    ground, ink = _colours(random)
    image = _ground(ground, random)
    mask = _text(fonts[int(random.integers(len(fonts)))], digit, random)
    if random.random() < 0.3:  # an outline around the strokes, or a shadow below them
        around = mask.filter(ImageFilter.MaxFilter(5))
        shift = (0, 0) if random.random() < 0.5 else (3, 3)
        image.paste(_colour(random), shift, around)
    image.paste(ink, (0, 0), mask)
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 2)))
    pixels = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX)).astype(np.float64)
    pixels += random.normal(0, random.uniform(0, 8), pixels.shape)
    return pixels.round().clip(0, 255).astype(np.uint8)


def _text(path: Path, digit: int, random: np.random.Generator) -> Image.Image:
    """Return the strokes as a mask, the digit about the centre whatever stands beside it."""
    font = _font(path, int(random.integers(44, 61)))
    left, top, right, bottom = font.getbbox(str(digit))
    x, y = (_DRAWN - right - left) / 2, (_DRAWN - bottom - top) / 2
    mask = Image.new("L", (_DRAWN, _DRAWN))
    pen = ImageDraw.Draw(mask)
    pen.text((x, y), str(digit), fill=255, font=font)
    for side in (-1, 1):
        if random.random() < 0.5:
            beside = str(random.integers(10))
            away = font.getlength(beside) if side < 0 else font.getlength(str(digit))
            pen.text((x + side * (away + random.uniform(0, 4)), y), beside, fill=255, font=font)
    angle, shear = random.uniform(-20, 20), random.uniform(-0.2, 0.2)
    mask = mask.rotate(angle, Image.Resampling.BICUBIC, translate=tuple(random.integers(-4, 5, 2).tolist()))
    centred = (1, shear, -shear * _DRAWN / 2, 0, 1, 0)
    return mask.transform((_DRAWN, _DRAWN), Image.Transform.AFFINE, centred, Image.Resampling.BICUBIC)


def _ground(colour: Colour, random: np.random.Generator) -> Image.Image:
    """Return a ground that shades from one colour to another near it, with a few bars and spots like it."""
    end = np.clip(np.array(colour) + random.uniform(-40, 40, 3), 0, 255)
    angle = random.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:_DRAWN, 0:_DRAWN] / (_DRAWN - 1) - 0.5
    share = np.clip(rows * np.sin(angle) + columns * np.cos(angle) + 0.5, 0, 1)[..., None]
    image = Image.fromarray((np.array(colour) * (1 - share) + end * share).round().astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(random.integers(0, 5)):
        near = tuple(int(value) for value in np.clip(np.array(colour) + random.uniform(-60, 60, 3), 0, 255))
        x0, y0, x1, y1 = random.uniform(-10, _DRAWN + 10, 4)
        if random.random() < 0.5:
            pen.line((x0, y0, x1, y1), near, int(random.integers(1, 8)))
        else:
            pen.ellipse((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), near)
    return image


def _colours(random: np.random.Generator) -> tuple[Colour, Colour]:
    """Return a ground and an ink that a grey picture tells apart too."""
    while True:
        ground, ink = _colour(random), _colour(random)
        if abs(np.dot(np.subtract(ground, ink), (0.299, 0.587, 0.114))) > 70:
            return ground, ink


def _colour(random: np.random.Generator) -> Colour:
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue


@cache
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise DataError(f"{path}: no font that can be read ({error}); expected .ttf or .otf files") from error


def font_files(more: Sequence[Path] = ()) -> list[Path]:
    """Return matplotlib's fonts for text, and those given: files, or all that lie in folders.

    Raises:
        DataError: one that is absent, or a folder without fonts.
    """
    import matplotlib

    files = [Path(matplotlib.get_data_path()) / "fonts/ttf" / f"{name}.ttf" for name in _SHIPPED]
    for path in more:
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".ttf", ".otf"))
        if not found and not path.is_file():
            raise DataError(f"--fonts {path}: no .ttf or .otf file there")
        files += found or [path]
    for file in files:
        _font(file, 40)
    return files


def _fingerprint(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


@click.command()
@click.option(
    "--fonts", type=click.Path(path_type=Path), multiple=True, help="A font or a folder of them, beside matplotlib's."
)
@ROOT
@SEED
@LIMIT
@FORCE
@preparing
def command(fonts: tuple[Path, ...], root: Path, seed: int, limit: int | None, force: bool) -> None:
    """Render synthetic digits, 60,000 + 10,000 images, after the description of SYN DIGITS.

    \b
    Example:
      dacn data prepare syn_digits
      dacn data prepare syn_digits --fonts my_fonts/ --limit 1000 --root trial
    """
    syn_digits(root, fonts, seed=seed, limit=limit, force=force)
    click.echo(f"The synthetic digits are in {root / 'syn_digits'}")
