"""A folder of images as a domain: class sub-folders, or a flat folder of unlabelled ones."""

import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from dacn.config import Config
from dacn.data.domain import Domain
from dacn.data.fit import fit_image
from dacn.data.paths import UserPath
from dacn.errors import DataError, did_you_mean

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})

_UNREADABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow's decoders raise on a damaged file."""


class FolderSpec(Config):
    """Class sub-folders of images, or a flat folder of unlabelled images."""

    folder: UserPath

    def load(self, root: Path, download: bool, image_size: int) -> Domain:
        """Return the domain; ``root`` and ``download`` do not matter here."""
        return folder(self.folder, image_size)


def folder(path: Path | str, image_size: int) -> Domain:
    """Read every image below ``path``, each cut to its centre square, in the order of their names.

    With sub-folders, each is a class, named after it; classes are sorted by name and images may lie deeper. Without,
    the images are unlabelled. Hidden files and files that are no images by their suffix are passed over.

    Args:
        path: the folder.
        image_size: pixels of both sides; the shorter side is resized to it.

    Raises:
        DataError: no such folder, no images, an empty class, or damaged images, all of them named.
    """
    path = Path(path)
    classes, files, labels = _listing(path)
    images = _read(files, image_size)
    if not classes:
        return Domain(path.resolve().name, images)
    return Domain(path.resolve().name, images, torch.tensor(labels), classes)


def _listing(path: Path) -> tuple[tuple[str, ...], list[Path], list[int]]:
    """Return class names, files, and the class index of each file."""
    if not path.is_dir():
        raise DataError(f"{path}: {'is a file, not a folder' if path.exists() else 'no such folder'}{_neighbour(path)}")
    entries = sorted(entry for entry in path.iterdir() if _visible(entry))
    folders = [entry for entry in entries if entry.is_dir()]
    loose = [entry for entry in entries if _is_image(entry)]
    if folders and loose:
        raise DataError(
            f"{path}: has sub-folders ({_some(folders)}) and images beside them ({_some(loose)}); "
            "expected class sub-folders alone, or images alone (unlabelled)"
        )
    if not folders and not loose:
        found = f"only {_some(entries)}" if entries else "nothing"
        raise DataError(f"{path}: no images, {found}; expected files ending in {', '.join(sorted(SUFFIXES))}")
    if not folders:
        return (), loose, []
    by_class = [sorted(file for file in below.rglob("*") if _is_image(file, below)) for below in folders]
    empty = [below for below, files in zip(folders, by_class, strict=True) if not files]
    if empty:
        raise DataError(f"{path}: class folders without an image: {_some(empty)}; fill or remove them")
    labels = [index for index, files in enumerate(by_class) for _ in files]
    return tuple(below.name for below in folders), [file for files in by_class for file in files], labels


def _read(files: Sequence[Path], image_size: int) -> Tensor:
    images = torch.empty(len(files), 3, image_size, image_size, dtype=torch.uint8)
    array = images.numpy()

    def read(index: int) -> str | None:
        """Fill one row, or return what is wrong with its file."""
        try:
            with Image.open(files[index]) as image:
                image.draft(None, (2 * image_size, 2 * image_size))  # a large JPEG is decoded at reduced size
                array[index] = fit_image(ImageOps.exif_transpose(image), image_size).transpose(2, 0, 1)
        except _UNREADABLE as error:
            return f"  {files[index]}: {error}"
        return None

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes without holding Python's lock
        problems = [problem for problem in pool.map(read, range(len(files))) if problem]
    if problems:
        more = f"\n  and {len(problems) - 5} more" if len(problems) > 5 else ""
        plural = "1 image" if len(problems) == 1 else f"{len(problems)} images"
        raise DataError(f"{plural} cannot be read; replace or remove:\n" + "\n".join(problems[:5]) + more)
    return images


def _visible(entry: Path) -> bool:
    return not entry.name.startswith(".") and entry.name != "__MACOSX"  # the latter: left by archives made on a Mac


def _is_image(file: Path, below: Path | None = None) -> bool:
    parts = file.relative_to(below).parts if below else (file.name,)
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and file.suffix.lower() in SUFFIXES and file.is_file()


def _neighbour(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir() if entry.is_dir()])


def _some(entries: Sequence[Path]) -> str:
    names = ", ".join(entry.name for entry in entries[:5])
    return names if len(entries) <= 5 else f"{names} and {len(entries) - 5} more"
