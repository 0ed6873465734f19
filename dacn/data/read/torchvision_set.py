"""A data set that torchvision knows, as a domain."""

import inspect
import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from dacn.config import Config
from dacn.data.classes.class_map import CLASS_MAP, ClassMap
from dacn.data.domain import Domain
from dacn.data.fit import Resize, fit_digits, fit_images
from dacn.data.known.names import DIGITS as DIGITS
from dacn.data.read.identity import of_arrays
from dacn.data.read.paths import UserPath
from dacn.data.read.python_set import named_classes, read_dataset
from dacn.data.read.reading import ReadingConfig
from dacn.errors import DataError, did_you_mean

_OWN_FOLDER = {"USPS", "SVHN"}  # torchvision writes their files straight into its root; MNIST makes a folder of its own
_UNNAMED_DIGITS = {"USPS", "SVHN", "SEMEION"}
_FAILURES = (
    *(OSError, RuntimeError, ValueError, TypeError, AssertionError, EOFError, IndexError, KeyError),
    *(struct.error, pickle.UnpicklingError),
)
"""What torchvision raises on files that are absent or damaged."""


class TorchvisionSpec(Config):
    """A class of torchvision.datasets whose items are (image, label)."""

    torchvision: str = Field(description="the name of the class", examples=["USPS"])
    train: bool = Field(True, description="its training images; false: its test images")
    split: str | None = Field(
        None, description="of a class that has splits instead of a training and a test part", examples=["extra"]
    )
    root: UserPath | None = Field(None, description="where its files lie; null: `data.root`", examples=["data"])
    class_map: ClassMap | None = CLASS_MAP

    def load(self, config: ReadingConfig) -> Domain:
        """Return the domain, from ``self.root`` where it is given and ``data.root`` else."""
        return torchvision_set(
            self.torchvision,
            self.root or config.root,
            config.read_size,
            train=self.train,
            split=self.split,
            download=config.download,
            resize=config.resize,
        )


def torchvision_set(
    name: str,
    root: Path,
    image_size: int,
    *,
    train: bool = True,
    split: str | None = None,
    download: bool = False,
    resize: Resize = "crop",
) -> Domain:
    """Read a torchvision data set; grey digits keep 28 pixels within a margin (see :func:`dacn.data.fit.fit_digits`).

    Args:
        name: a class of torchvision.datasets, for example ``"USPS"``.
        root: where torchvision's files lie: ``root/MNIST/raw``, ``root/USPS``, ``root/SVHN`` (files of the last two may
            also lie in ``root`` itself); for any other class, what that class calls its root.
        image_size: pixels of both sides.
        train: the training or the test part.
        split: the part by its own name, for classes that have more than two.
        download: fetch the files where they are absent.
        resize: how images become squares; digits are squares.

    Raises:
        DataError: no such class, no such split, or files that are absent or damaged.
    """
    kind = _find(name)
    options = _options(kind, train, split)
    part = split or ("train" if train else "test")
    places = [Path(root) / name, Path(root)] if name in _OWN_FOLDER else [Path(root)]
    dataset = _open(kind, name, part, places, options, download)
    return _domain(name.lower(), dataset, image_size, resize)


def _find(name: str) -> Any:
    from torchvision import datasets

    kinds = {key: getattr(datasets, key) for key in datasets.__all__ if inspect.isclass(getattr(datasets, key))}
    if name not in kinds:
        raise DataError(f"torchvision.datasets has no class {name!r}{did_you_mean(name, kinds)}")
    return kinds[name]


def _options(kind: Any, train: bool, split: str | None) -> dict[str, Any]:
    """Return the arguments by which this class chooses its part: ``train``, ``split``, both or none."""
    from torchvision.datasets import MNIST

    known = inspect.signature(kind.__init__).parameters
    needed = [
        key
        for key, value in known.items()
        if value.default is value.empty and value.kind is value.POSITIONAL_OR_KEYWORD
    ]
    options: dict[str, Any] = {}
    if "train" in known or issubclass(kind, MNIST):  # MNIST's kin hand `train` and `download` on
        options["train"] = train
    if "split" in known and (split is not None or "train" not in options):
        options["split"] = split or ("train" if train else "test")
    if "download" in known or issubclass(kind, MNIST):
        options["download"] = False
    unknown = set(needed) - {"self", "root"} - options.keys()
    if "root" not in known or unknown:
        if unknown == {"split"}:
            raise DataError(
                f"torchvision.datasets.{kind.__name__} needs `split`: say which part, as torchvision names it"
            )
        what = f"needs {', '.join(sorted(unknown))}" if unknown else "reads no files"
        raise DataError(f"torchvision.datasets.{kind.__name__} {what}; wrap it: {{python: 'package.module:function'}}")
    if split is not None and "split" not in options:
        raise DataError(f"torchvision.datasets.{kind.__name__} has no split {split!r}: leave `split` out")
    if not train and not {"train", "split"} & options.keys():
        raise DataError(f"torchvision.datasets.{kind.__name__} has no test part: leave `train: false` out")
    return options


def _open(kind: Any, name: str, part: str, places: list[Path], options: dict[str, Any], download: bool) -> Any:
    what = f"{name} ({part})"
    for place in places:
        try:
            return kind(place, **options)
        except _FAILURES as error:
            if "argument split" in str(error):
                raise DataError(f"{name}: {error}") from error
            if not _missing(error):
                why = f"{type(error).__name__}: {error}".rstrip(": ")
                fix = "remove them and download again"
                raise DataError(f"{what}: files in {place} are damaged ({why}); {fix}") from error
    if not download or "download" not in options:
        searched = " and ".join(str(place) for place in places)
        how = "run `dacn train RECIPE --set data.download=true`" if "download" in options else "get its files by hand"
        raise DataError(f"{what}: no intact files in {searched}; to fetch them, {how}, or point data.root at them")
    try:
        places[0].mkdir(parents=True, exist_ok=True)
        return kind(places[0], **(options | {"download": True}))
    except _FAILURES as error:
        fix = "put the files there by hand"
        raise DataError(f"{what}: the download into {places[0]} failed ({error}); {fix}") from error


def _missing(error: Exception) -> bool:
    """Whether torchvision says that files are absent; it raises RuntimeError for damaged ones too."""
    return isinstance(error, FileNotFoundError | NotADirectoryError) or "not found" in str(error)


def _domain(name: str, dataset: Any, image_size: int, resize: Resize) -> Domain:
    data = getattr(dataset, "data", None)
    labels = getattr(dataset, "targets", getattr(dataset, "labels", None))
    if not isinstance(data, np.ndarray | torch.Tensor) or labels is None:
        return read_dataset(name, dataset, image_size, resize)
    images = np.asarray(data)
    if images.ndim == 4 and images.shape[1] == 3 and images.shape[3] != 3:
        images = images.transpose(0, 2, 3, 1)  # SVHN and STL10 hold (N, 3, H, W)
    small = images.ndim == 3 and max(images.shape[1:]) <= 28
    indices = torch.as_tensor(np.asarray(labels), dtype=torch.int64)
    return Domain(
        name,
        fit_digits(images, image_size) if small else fit_images(np.ascontiguousarray(images), image_size, resize),
        indices if int(indices.min()) >= 0 else None,  # STL10 marks its unlabelled images by -1
        DIGITS if type(dataset).__name__ in _UNNAMED_DIGITS else _short_names(named_classes(dataset)),
        fit="digits" if small else resize,
        identity=of_arrays(images),
    )


def _short_names(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Cut MNIST's ``"7 - seven"`` to ``"7"``."""
    return names and tuple(re.sub(r"^(\d) - [a-z]+$", r"\1", name) for name in names)
