"""A folder of images as a domain: class sub-folders, or a flat folder of unlabelled ones."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

import torch
from PIL import Image

from dacn.config import Config
from dacn.data.classes.class_map import CLASS_MAP, ClassMap, rename_classes
from dacn.data.domain import Domain
from dacn.data.fit import Fit, Pixels, Resize, fit_as
from dacn.data.read.identity import of_file
from dacn.data.read.images import Streamed
from dacn.data.read.paths import UserPath
from dacn.data.read.ranges import RangeSetting, read_alike
from dacn.data.read.reading import ReadingConfig, reading
from dacn.data.read.residence import Residence
from dacn.data.values import Extent, ValueRange, extent_of, upright
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
    class_map: ClassMap | None = CLASS_MAP

    def load(self, config: ReadingConfig) -> Domain:
        """Return the domain; its files are found and not read yet."""
        return find(self.folder, config)


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


def folder(
    path: Path | str,
    image_size: int,
    *,
    class_map: Mapping[str, str | None] | None = None,
    resize: Resize = "crop",
    on_bad_image: Literal["error", "skip"] = "error",
    resident_mb: int = 1024,
    workers: int | None = None,
    range: RangeSetting = "auto",
) -> Domain:
    """Read every image below ``path`` in the order of their names.

    With sub-folders, each is a class, named after it; classes are sorted by name and images may lie deeper. Without,
    the images are unlabelled. Hidden files and files that are no images by their suffix are passed over.

    Args:
        path: the folder.
        image_size: pixels of both sides.
        class_map: other names for its classes, see `dacn.data.classes.class_map.rename_classes`.
        resize: how images become squares: by their centre (crop), black margins (pad) or stretching.
        on_bad_image: whether images that cannot be read are an error or left out, with a note.
        resident_mb: MiB of images that are held in memory; a larger folder is decoded while it is used.
        workers: threads that decode; None: as many as the machine has cores, at most 8.
        range: ``(low, high)``, what becomes black and what white in images of more than 8 bits. ``"auto"``: 0 to the
            least of 255, 1023, 4095, 16383, 65535 that no 16-bit value of this folder exceeds, told in its notes; the
            domains of a pair must have the same one. Signed, 32-bit and float values need it stated.

    Raises:
        DataError: no such folder, no images, an empty class, or damaged images, counted and named.
    """
    config = reading(
        image_size=image_size, resize=resize, on_bad_image=on_bad_image, resident_mb=resident_mb, workers=workers,
        range=range,
    )  # fmt: skip
    domain = find(Path(path), config)
    domain = domain if class_map is None else rename_classes(domain, class_map)
    return Residence(config).settle(read_alike({"path": domain}, config.range)["path"])


def find(path: Path, config: ReadingConfig) -> Domain:
    """Find the images below ``path``, as `folder` reads them; nothing is decoded yet.

    Raises:
        DataError: no such folder, no images, or an empty class.
    """
    classes, files, labels = _listing(path)
    items = [ImageFile(file, config.image_size, config.resize) for file in files]
    images = Streamed(items, config.image_size, workers=config.workers)
    if not classes:
        return Domain(path.resolve().name, images, fit=config.resize)
    return Domain(path.resolve().name, images, torch.tensor(labels), classes, fit=config.resize)


def _listing(path: Path) -> tuple[tuple[str, ...], list[Path], list[int]]:
    """Return class names, files, and the class index of each file."""
    if not path.is_dir():
        raise DataError(f"{path}: {'is a file, not a folder' if path.exists() else 'no such folder'}{_neighbour(path)}")
    entries = sorted(entry for entry in path.iterdir() if _visible(entry))
    folders = [entry for entry in entries if entry.is_dir()]
    loose = [entry for entry in entries if is_image(entry)]
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
    by_class = [sorted(file for file in below.rglob("*") if is_image(file, below)) for below in folders]
    empty = [below for below, files in zip(folders, by_class, strict=True) if not files]
    if empty:
        raise DataError(f"{path}: class folders without an image: {_some(empty)}; fill or remove them")
    labels = [index for index, files in enumerate(by_class) for _ in files]
    return tuple(below.name for below in folders), [file for files in by_class for file in files], labels


def _visible(entry: Path) -> bool:
    return not entry.name.startswith(".") and entry.name != "__MACOSX"  # the latter: left by archives made on a Mac


def is_image(file: Path, below: Path | None = None) -> bool:
    """Whether a file is an image by its name, and neither it nor a folder between ``below`` and it is hidden."""
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
