"""CIFAR-10-C: CIFAR-10 under fifteen corruptions of five severities; training images too, which the original lacks."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from dacn.data.corruption.corrupt import corrupt
from dacn.data.known.names import CIFAR10_CLASSES
from dacn.data.known.sets import CORRUPTIONS, SEVERITIES
from dacn.data.prepare.archive import require_md5, unpacked
from dacn.data.prepare.images import Pixels, write_images
from dacn.data.prepare.manifest import Manifest
from dacn.data.prepare.options import DOWNLOAD, FORCE, LIMIT, ROOT, SEED, preparing
from dacn.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from dacn.data.domain import Domain

EVERY = tuple(f"{kind}_{level}" for kind in CORRUPTIONS for level in SEVERITIES)
OFFICIAL_MD5 = "56bf5dcef84df0e2308c6dcbcbbd8499"
"""Of CIFAR-10-C.tar, as its page on Zenodo (record 2535967) gives it."""

_ROWS = 10000  # of one severity


def cifar10_c(
    root: Path,
    cifar10: Path,
    names: Sequence[str] = EVERY,
    *,
    official: Path | None = None,
    download: bool = False,
    seed: int = 0,
    limit: int | None = None,
    force: bool = False,
) -> None:
    """Write ``root/cifar10_c/NAME_train.npz`` and ``NAME_test.npz`` for each name.

    Args:
        root: where to write.
        cifar10: where torchvision's CIFAR-10 lies, or a folder of ``train`` and ``test``, each of class folders.
        names: corruption and severity, for example ``"fog_3"``.
        official: the published ``CIFAR-10-C.tar``, or the folder it unpacks to: the test images are its own then.
        download: fetch CIFAR-10 where it is absent.
        seed: of the random choices.
        limit: only so many images of each part.
        force: make anew what is there.

    Raises:
        DataError: no CIFAR-10, or official files that are absent or of another shape.
    """
    settings = {"seed": seed, "limit": limit, "test": "official" if official else "made"}
    manifest = Manifest(root / "cifar10_c", settings, force)
    clean = cache(partial(_clean, cifar10, download))
    todo = [(name, part) for name in names for part in ("train", "test") if not manifest.holds(f"{name}_{part}.npz")]
    if official and official.is_file() and todo:
        require_md5(official, OFFICIAL_MD5)
    with unpacked(official, root) if official and todo else nullcontext(root) as published:
        for name, part in todo:
            kind, _, level = name.rpartition("_")
            file = f"{name}_{part}.npz"
            if official and part == "test":
                _write_official(manifest, file, published, kind, int(level), limit)
            else:
                _write(manifest, file, clean(part), kind, int(level), (seed, part == "test"), limit)


def _write(
    manifest: Manifest, name: str, domain: "Domain", kind: str, level: int, seed: tuple[int, ...], limit: int | None
) -> None:
    number = CORRUPTIONS.index(kind)
    assert domain.labels is not None

    def make(start: int, stop: int) -> Pixels:
        clean = domain.images[start:stop].permute(0, 2, 3, 1).numpy()  # (n, 32, 32, 3)
        return np.stack(
            [
                corrupt(image, kind, level, np.random.default_rng((*seed, number, level, index)))
                for index, image in enumerate(clean, start)
            ]
        )

    write_images(manifest, name, make, domain.labels[:limit].numpy(), domain.classes or ())


def _write_official(manifest: Manifest, name: str, official: Path, kind: str, level: int, limit: int | None) -> None:
    images, labels = _read_official(official, kind, level)

    def make(start: int, stop: int) -> Pixels:
        return np.asarray(images[start:stop])

    write_images(manifest, name, make, labels[:limit].astype(np.int64), CIFAR10_CLASSES)


def _clean(place: Path, download: bool, part: str) -> "Domain":
    from dacn.data.read.folder import folder
    from dacn.data.read.torchvision_set import torchvision_set

    if (place / part).is_dir():
        return folder(place / part, 32)
    return torchvision_set("CIFAR10", place, 32, train=part == "train", download=download)


def _read_official(place: Path, kind: str, level: int) -> tuple[Pixels, NDArray[Any]]:
    """Return the images and labels of one severity, of which the published arrays hold five in a row."""
    rows = slice((level - 1) * _ROWS, level * _ROWS)
    folder = place / "CIFAR-10-C" if (place / "CIFAR-10-C").is_dir() else place
    images, labels = (_array(folder / f"{name}.npy") for name in (kind, "labels"))
    if images.dtype != np.uint8 or images.shape != (5 * _ROWS, 32, 32, 3) or labels.shape != (5 * _ROWS,):
        raise DataError(
            f"--official {place}: {kind}.npy is {images.dtype} {images.shape} and labels.npy {labels.shape}; "
            "expected uint8 (50000, 32, 32, 3) and (50000,), as in CIFAR-10-C.tar"
        )
    return images[rows], np.asarray(labels[rows])


def _array(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"--official: {path} cannot be read ({error}); unpack CIFAR-10-C.tar there") from error
    return array


def expand_names(only: Sequence[str]) -> list[str]:
    """Return the names that a user asks for: ``fog_3``, or ``fog`` for its five severities.

    Raises:
        DataError: no such corruption.
    """
    names = [name for text in only for name in EVERY if text in (name, name.rpartition("_")[0])]
    for text in only:
        if text not in EVERY and text not in CORRUPTIONS:
            near = did_you_mean(text, (*EVERY, *CORRUPTIONS))
            raise DataError(
                f"--only {text}: no such corruption{near}; there are {', '.join(CORRUPTIONS)}, each _1 to _5"
            )
    return list(dict.fromkeys(names))


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="A corruption, with or without its severity: fog, fog_3.")
@click.option("--all", "every", is_flag=True, help="All 75, 13.8 GB.")
@click.option(
    "--cifar10",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where CIFAR-10 lies, or class folders in train/ and test/.  [default: the root]",
)
@click.option(
    "--official",
    type=click.Path(path_type=Path, exists=True),
    help="The published CIFAR-10-C.tar, or its folder: the test images are its own then.",
)
@ROOT
@SEED
@LIMIT
@DOWNLOAD
@FORCE
@preparing
def command(
    only: tuple[str, ...],
    every: bool,
    cifar10: Path | None,
    official: Path | None,
    root: Path,
    seed: int,
    limit: int | None,
    download: bool,
    force: bool,
) -> None:
    """Corrupt CIFAR-10, training and test images: fifteen corruptions of five severities.

    \b
    Example:
      dacn data prepare cifar10_c --only fog_3 --only snow --download
      dacn data prepare cifar10_c --all --official CIFAR-10-C.tar
    """
    if bool(only) == every:
        raise click.UsageError("say which: --only fog_3 (or fog, for its five severities), or --all")
    names = list(EVERY) if every else expand_names(only)
    cifar10_c(root, cifar10 or root, names, official=official, download=download, seed=seed, limit=limit, force=force)
    click.echo(f"{len(names)} corruption{'s are' if len(names) > 1 else ' is'} in {root / 'cifar10_c'}")
