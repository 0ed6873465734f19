"""SVHN crops: digits of 32x32 pixels, cut from the full house-number images by their boxes."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from dacn.data.known.names import DIGITS
from dacn.data.prepare.archive import unpacked
from dacn.data.prepare.images import Pixels, write_images
from dacn.data.prepare.manifest import Manifest, sha256
from dacn.data.prepare.options import FORCE, LIMIT, ROOT, preparing
from dacn.errors import DataError

SIZE = 32
KEYS = ("label", "left", "top", "width", "height")
BOXES = ("digitStruct.mat", "digitStruct.json", "digitStruct.csv")
"""What a folder of full images may keep its boxes in: the official file, or one of two plain ones."""


@dataclass(frozen=True)
class Box:
    """One digit of one image, in pixels; the label 10 stands for 0."""

    name: str
    label: int
    left: int
    top: int
    width: int
    height: int


def svhn_crops(root: Path, parts: Mapping[str, Path], *, limit: int | None = None, force: bool = False) -> None:
    """Write ``root/svhn_crops/train.npz`` and ``test.npz``: images, labels, and which full image each came from.

    Args:
        root: where to write.
        parts: ``train``, ``test`` or both: a folder of full images with their boxes, or the official archive of one.
        limit: only so many digits of each part.
        force: make anew what is there.

    Raises:
        DataError: boxes or images that are absent or damaged.

    Reference: Netzer et al. 2011: a box is widened to a square, so that resizing does not distort it.
    """
    for part, given in parts.items():
        with unpacked(given, root) as place:
            file = _boxes_file(place, given)
            boxes = list(read_boxes(file))[:limit]
            if not boxes:
                raise DataError(f"{file}: has no boxes")
            numbers = {name: number for number, name in enumerate(dict.fromkeys(box.name for box in boxes))}
            settings = {"boxes": sha256(file), "limit": limit}

            def make(start: int, stop: int, boxes: list[Box] = boxes, folder: Path = file.parent) -> Pixels:
                return np.stack([cut(folder, box) for box in boxes[start:stop]])

            write_images(
                Manifest(root / "svhn_crops", settings, force, f"{part}.json"),
                f"{part}.npz",
                make,
                np.array([box.label % 10 for box in boxes], np.int64),
                DIGITS,
                image_number=np.array([numbers[box.name] for box in boxes], np.int64),
            )


def cut(folder: Path, box: Box) -> Pixels:
    """Return one digit: its box widened to a square about the same centre, moved into the image where it sticks out.

    A square larger than the image goes on as the image ends.

    Raises:
        DataError: no such image, a damaged one, or a box that is not in it.

    Shape: ``(32, 32, 3)``.
    """
    path = folder / box.name
    try:
        with Image.open(path) as file:
            photo = np.asarray(file.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch the archive again") from error
    side = max(box.width, box.height)
    lengths = photo.shape[0], photo.shape[1]
    starts = (box.top + (box.height - side) // 2, box.left + (box.width - side) // 2)
    if side < 1 or not all(-side < start < length for start, length in zip(starts, lengths, strict=True)):
        raise DataError(f"{path}: the box {box} is not in this image of {lengths[1]}x{lengths[0]} pixels")
    places = []
    for start, length in zip(starts, lengths, strict=True):
        inside = min(max(start, 0), length - side) if side <= length else start
        places.append(np.arange(inside, inside + side).clip(0, length - 1))
    square = Image.fromarray(photo[np.ix_(*places)])
    return np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def read_boxes(file: Path) -> Iterator[Box]:
    """Yield the boxes of ``digitStruct.mat``, or of a plain file with the same names.

    JSON: ``[{"filename": "1.png", "boxes": [{"label": 5, "left": 43, "top": 7, "width": 19, "height": 30}]}]``. CSV:
    the columns filename, label, left, top, width, height.

    Raises:
        DataError: it cannot be read, or is of another form.
    """
    try:
        for name, values in _READERS[file.suffix](file):
            if Path(name).name != name:
                raise ValueError(f"the image {name!a} does not lie beside it")
            yield Box(name, *(int(float(values[key])) for key in KEYS))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as boxes ({type(error).__name__}: {error})") from error


def _read_mat(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{file}: needs h5py: pip install h5py (or pip install 'dacn[svhn]')") from error
    with h5py.File(file, "r") as content:
        names, boxes = content["digitStruct/name"], content["digitStruct/bbox"]
        for row in range(len(names)):
            name = "".join(chr(int(code)) for code in np.ravel(content[names[row, 0]]))
            box = content[boxes[row, 0]]
            columns = {key: [_number(content, value) for value in np.ravel(box[key])] for key in KEYS}
            for index in range(len(columns["label"])):
                yield name, {key: columns[key][index] for key in KEYS}


def _number(content: Any, value: Any) -> float:
    """Return a value of MATLAB's: a single digit's stands for itself, several are references to one each."""
    return float(value) if isinstance(value, int | float | np.number) else float(content[value][0, 0])


def _read_json(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for image in json.loads(file.read_text(encoding="utf-8")):
        for box in image["boxes"]:
            yield image["filename"], box


def _read_csv(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            yield row["filename"], row


_READERS = {".mat": _read_mat, ".json": _read_json, ".csv": _read_csv}


def _boxes_file(place: Path, given: Path) -> Path:
    below = [entry for entry in sorted(place.iterdir()) if entry.is_dir()]
    for folder in (place, *below):
        for name in BOXES:
            if (folder / name).is_file():
                return folder / name
    raise DataError(f"{given}: holds no {' or '.join(BOXES)}; expected train.tar.gz or test.tar.gz of SVHN's format 1")


@click.command()
@click.option(
    "--train", type=click.Path(path_type=Path, exists=True), help="train.tar.gz, or the folder it unpacks to."
)
@click.option("--test", type=click.Path(path_type=Path, exists=True), help="test.tar.gz, or the folder it unpacks to.")
@ROOT
@LIMIT
@FORCE
@preparing
def command(train: Path | None, test: Path | None, root: Path, limit: int | None, force: bool) -> None:
    """Cut digits of 32x32 pixels from SVHN's full house-number images (format 1).

    The boxes are read from digitStruct.mat, which needs h5py, or from digitStruct.json or .csv in its place.

    \b
    Example:
      dacn data prepare svhn_crops --train train.tar.gz --test test.tar.gz
      dacn train RECIPE --set 'data.target={npz: data/svhn_crops/train.npz}'
    """
    parts = {name: path for name, path in (("train", train), ("test", test)) if path}
    if not parts:
        raise click.UsageError("give --train, --test or both")
    svhn_crops(root, parts, limit=limit, force=force)
    click.echo(f"The crops are in {root / 'svhn_crops'}")
