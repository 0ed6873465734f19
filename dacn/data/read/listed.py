"""A domain whose images a text file lists, one a line with the index of its class, as several benchmarks ship them."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import torch

from dacn.data.domain import Domain
from dacn.data.read.image_file import ImageFile
from dacn.data.read.images import Streamed
from dacn.data.read.reading import ReadingConfig
from dacn.errors import DataError


class Listed(NamedTuple):
    """One line of a list."""

    path: PurePosixPath  # as it stands there
    label: int


def read_list(path: Path) -> list[Listed]:
    """Return the lines of a list: a path and an index, parted by white space. Empty lines are left out.

    Raises:
        DataError: no such file, nothing in it, or a line that is none; it is named.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise DataError(f"{path}: cannot be read ({str(reason).lower()}); expected a list of images") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().replace("\t", " ").rpartition(" ")
        place = PurePosixPath(name.strip())
        if not name.strip() or not label.isdecimal() or place.is_absolute() or ".." in place.parts:
            raise DataError(
                f"{path}, line {number}: got {line[:80]!r}; expected a path below the list's folder and a class's "
                "index, for example `clipart/bear/clipart_024_000001.jpg 23`"
            )
        found.append(Listed(place, int(label)))
    if not found:
        raise DataError(f"{path}: lists no image")
    return found


def find_listed(path: Path, root: Path, config: ReadingConfig) -> Domain:
    """Return the domain of a list; its files are found below ``root`` and not read yet.

    A class is called as the folder of its images.

    Raises:
        DataError: as `read_list`; a file that is not there, or a class whose images lie in several folders.
    """
    lines = read_list(path)
    files = [root / line.path for line in lines]
    absent = [file for file in files if not file.is_file()]
    if absent:
        raise DataError(
            f"{path}: {len(absent):,} of its {len(files):,} images are not there, for example {absent[0]}; fetch the "
            "data set anew"
        )
    names: dict[int, str] = {}
    for line in lines:
        name = line.path.parent.name
        if names.setdefault(line.label, name) != name:
            raise DataError(f"{path}: class {line.label} is both {names[line.label]!r} and {name!r}; fetch it anew")
    order = sorted(names)
    if len(set(names.values())) < len(names):
        raise DataError(f"{path}: two classes have images in the same folder; fetch it anew")
    size = config.read_size
    images = Streamed([ImageFile(file, size, config.resize) for file in files], size, workers=config.workers)
    labels = torch.tensor([order.index(line.label) for line in lines])
    return Domain(path.stem, images, labels, tuple(names[label] for label in order), fit=config.resize)
