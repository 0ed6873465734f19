"""MNIST-M: MNIST's digits blended with patches of photographs, made anew so that no dead link can hurt."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal

import click
import numpy as np
from PIL import Image

from dacn.data.known.names import DIGITS
from dacn.data.prepare.images import Pixels, write_images
from dacn.data.prepare.manifest import Manifest
from dacn.data.prepare.options import DOWNLOAD, FOLDER, FORCE, LIMIT, ROOT, SEED, preparing
from dacn.errors import DataError

SIZE = 32
Blend = Literal["full", "grey"]
_TEST_EVERY = 6  # of the photographs, as many as there are test digits among MNIST's


def mnist_m(
    root: Path,
    photos: Path,
    mnist: Path,
    *,
    download: bool = False,
    seed: int = 0,
    limit: int | None = None,
    force: bool = False,
    blending: Blend = "full",
) -> None:
    """Write ``root/mnist_m/train.npz`` and ``test.npz``, or ``grey_train.npz`` and ``grey_test.npz``.

    Each digit, padded to 32x32, is blended with a patch of a photograph as in the published data set: what is not black
    in the digit is the patch's negative, whatever its shade, ``abs(patch - 255 * (digit > 0))``. Every sixth photograph
    lends its patches to the test digits alone, so that no test background is seen in training; the published one does
    not part them so, and its patches are not these.

    Args:
        root: where to write.
        photos: a folder of photographs of at least 32 pixels a side.
        mnist: where torchvision's MNIST lies.
        download: fetch MNIST where it is absent.
        seed: of the patches.
        limit: only so many digits of each part.
        force: make anew what is there.
        blending: ``"full"`` as published; ``"grey"`` is ``abs(patch - digit)``, whose strokes fade at their edges and
            look thinner. dacn made this form before; it is the domain ``mnist_m_grey``.

    Raises:
        DataError: no MNIST, no photographs, a photograph that is too small or damaged.

    Reference: Ganin et al. 2016 (arXiv 1505.07818).
    """
    from dacn.data.read.torchvision_set import torchvision_set

    files = _photographs(photos)
    settings = {"seed": seed, "limit": limit, "photographs": _fingerprint(files), "blend": blending}
    form = "" if blending == "full" else f"{blending}_"
    manifest = Manifest(root / "mnist_m", settings, force, f"{form}manifest.json")
    for part, train in enumerate((True, False)):
        domain = torchvision_set("MNIST", mnist, SIZE, train=train, download=download)
        assert domain.labels is not None
        digits = domain.images[:limit].permute(0, 2, 3, 1).numpy()  # (N, 32, 32, 3)
        test = files[::_TEST_EVERY]
        own = (test if not train else [file for file in files if file not in test]) or files

        def make(start: int, stop: int, digits: Pixels = digits, own: Sequence[Path] = own, part: int = part) -> Pixels:
            patches = [_patch(own, np.random.default_rng((seed, part, index))) for index in range(start, stop)]
            return blend(np.stack(patches), digits[start:stop], blending)

        name = f"{form}train.npz" if train else f"{form}test.npz"
        write_images(manifest, name, make, domain.labels[:limit].numpy(), DIGITS)


def blend(patches: Pixels, digits: Pixels, blending: Blend = "full") -> Pixels:
    """Return ``abs(patch - ink)``: the photograph around the digit, its negative within.

    >>> patches, digits = np.full((1, 1, 3, 3), 40, np.uint8), np.array([[[[0] * 3, [1] * 3, [200] * 3]]], np.uint8)
    >>> blend(patches, digits)[0, 0, :, 0].tolist()
    [40, 215, 215]
    >>> blend(patches, digits, "grey")[0, 0, :, 0].tolist()
    [40, 39, 160]

    Args:
        patches: of photographs.
        digits: black where there is none.
        blending: ``"full"`` makes ink 255 wherever the digit is not black, ``"grey"`` leaves it in its shades.

    Shape: both and the result ``(N, H, W, 3)``, uint8.
    """
    ink = np.where(digits > 0, np.uint8(255), np.uint8(0)) if blending == "full" else digits
    blended: Pixels = np.abs(patches.astype(np.int16) - ink).astype(np.uint8)
    return blended


def _patch(files: Sequence[Path], random: np.random.Generator) -> Pixels:
    photo = _photograph(files[int(random.integers(len(files)))])
    top, left = (int(random.integers(side - SIZE + 1)) for side in photo.shape[:2])
    return photo[top : top + SIZE, left : left + SIZE]


def _photographs(folder: Path) -> list[Path]:
    from dacn.data.read.search import SUFFIXES

    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise DataError(f"--photos {folder}: no images; expected a folder of photographs, for example BSDS500's")
    for file in files:
        with _opened(file) as image:
            if min(image.size) < SIZE:
                width, height = image.size
                raise DataError(f"{file}: {width}x{height} pixels, expected at least {SIZE}x{SIZE}; remove it")
    return files


@lru_cache(maxsize=512)
def _photograph(file: Path) -> Pixels:
    with _opened(file) as image:
        return np.asarray(image.convert("RGB"))


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(file) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: cannot be read ({error}); replace or remove it") from error


def _fingerprint(files: Sequence[Path]) -> str:
    listing = "\n".join(f"{file.name} {file.stat().st_size}" for file in files)
    return f"{len(files)} files, {hashlib.sha256(listing.encode()).hexdigest()[:16]}"


@click.command()
@click.option("--photos", type=FOLDER, required=True, help="A folder of photographs, for example those of BSDS500.")
@click.option(
    "--mnist",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where MNIST lies (MNIST/raw).  [default: the root]",
)
@click.option(
    "--blend",
    "blending",
    type=click.Choice(["full", "grey"]),
    default="full",
    show_default=True,
    help="full: every pixel of a digit at full strength, as published. grey: in its shade, thinner strokes; the domain "
    "mnist_m_grey.",
)
@ROOT
@SEED
@LIMIT
@DOWNLOAD
@FORCE
@preparing
def command(
    photos: Path,
    mnist: Path | None,
    blending: Blend,
    root: Path,
    seed: int,
    limit: int | None,
    download: bool,
    force: bool,
) -> None:
    """Build MNIST-M from MNIST and a folder of photographs: 60,000 + 10,000 images.

    As in the published data set an image is abs(patch - 255 * (digit > 0)): the photograph, and its negative where the
    digit is. The published patches are others, so that accuracies on the two differ a little.

    \b
    Example:
      dacn data prepare mnist_m --photos BSDS500/data/images --download
      dacn train recipes/mnist_mnistm_acn.yaml
    """
    mnist_m(root, photos, mnist or root, download=download, seed=seed, limit=limit, force=force, blending=blending)
    click.echo(f"MNIST-M is in {root / 'mnist_m'}")
