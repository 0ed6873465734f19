"""Loads images into memory as far as they fit, and checks before training that every file can be read."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dacn.data.domain import Domain, DomainPair
from dacn.data.read.cache import CachedImage, cache_file, holds, read_from, why_not, writing
from dacn.data.read.image_file import ImageFile
from dacn.data.read.images import Images, Streamed, crop_images
from dacn.data.read.reading import ReadingConfig
from dacn.errors import DataError

MIB = 2**20


class ResidentLoader:
    """Reads the files of one domain after the other while ``reading.resident_mb`` lasts; the rest stay files.

    Every file is decoded once either way, so that a damaged one is known now and not in the middle of training.

    Args:
        reading: the budget, and what to do about damaged files.
    """

    def __init__(self, reading: ReadingConfig) -> None:
        self.skip = reading.on_bad_image == "skip"
        self.left = reading.resident_mb * MIB  # bytes
        self.crop, self.cache = reading.crop, reading.cache
        self._known: dict[int, tuple[Streamed, Images, list[int], tuple[str, ...], Tensor]] = {}  # images may be shared
        self._cropped: dict[int, tuple[Images, Images]] = {}

    def load_resident(self, domain: Domain) -> Domain:
        """Return the domain with its images in memory, or as files that can be read; cropped, where they are to be.

        Raises:
            DataError: files that cannot be read, all of them counted and some named, unless they are to be skipped; a
                class of which none can be read.
        """
        return self._crop(self._load(domain))

    def _crop(self, domain: Domain) -> Domain:
        if self.crop is None:
            return domain
        key = id(domain.images)
        if key not in self._cropped:
            self._cropped[key] = (domain.images, crop_images(domain.images, self.crop))
        return replace(domain, images=self._cropped[key][1], uncropped=domain.images)

    def _load(self, domain: Domain) -> Domain:
        images = domain.images
        if isinstance(images, Tensor):
            self.left -= images.nbytes
            return domain
        if id(images) not in self._known:
            hold = math.prod(images.shape) <= self.left
            self.left -= math.prod(images.shape) if hold else 0
            cache = None if hold else self.cache
            found = (
                _read(images, hold=hold, skip=self.skip) if cache is None else _cached(images, cache, skip=self.skip)
            )
            self._known[id(images)] = (images, *found)
        _, read, rows, notes, identity = self._known[id(images)]
        told = domain.notes + tuple(f"{domain.name}: {note}" for note in notes)
        if len(rows) == len(domain):
            return replace(domain, images=read, notes=told, identity=identity)
        _require_every_class(domain, rows, notes)
        kept = domain.rows(torch.tensor(rows, dtype=torch.int64))
        return replace(kept, images=read, notes=told, identity=identity)


def _require_every_class(domain: Domain, rows: list[int], notes: Sequence[str]) -> None:
    """Make sure that no class is lost with the files that are skipped.

    Raises:
        DataError: one is.
    """
    if domain.labels is None:
        return
    lost = sorted({*domain.labels.tolist()} - {*domain.labels[rows].tolist()})
    if lost:
        names = [domain.classes[label] if domain.classes else str(label) for label in lost]
        raise DataError(
            f"{domain.name}: no image can be read of class {', '.join(map(repr, names[:10]))}; replace them, or leave "
            f"the class out by class_map: {{{names[0]}: null}}\n" + "\n".join(notes)
        )


_Read = tuple[Images, list[int], tuple[str, ...], Tensor]
"""Images that can be read, their rows, notes on others, and their identities."""


def _cached(images: Streamed, folder: Path, *, skip: bool) -> _Read:
    """Return what `_read` does, with the images read from a file of decoded ones, which is written where it lacks."""
    if not all(isinstance(item, ImageFile) for item in images.items):
        return _read(images, hold=False, skip=skip)
    try:
        identity = images.identities()
        path = cache_file(images, identity, folder)
        if not holds(path, images):
            if (why := why_not(path, images)) is not None:
                raise OSError(None, why)
            with writing(path) as write:
                for outcome in images.outcomes(range(len(images))):
                    if isinstance(outcome, DataError):
                        raise outcome
                    write(outcome)
    except DataError:  # a damaged file, which is told with all others; those that are sound are kept then
        read, rows, notes, identity = _read(images, hold=False, skip=skip)
        if isinstance(read, Streamed) and 0 < len(rows) < len(images):
            read, _, more, identity = _cached(read, folder, skip=False)
            notes = (*notes, *more)
        return read, rows, notes, identity
    except OSError as error:
        read, rows, notes, identity = _read(images, hold=False, skip=skip)
        why = (error.strerror or str(error)).lower()
        return read, rows, (*notes, f"data.cache: {folder} is not used ({why}); images are decoded anew"), identity
    return read_from(path, images), [*range(len(images))], (), identity


def _read(images: Streamed, *, hold: bool, skip: bool) -> _Read:
    """Decode every image, and keep them in memory if they are to be held."""
    held = torch.empty(images.shape if hold else 0, dtype=torch.uint8)
    array = held.numpy()
    problems: dict[int, str] = {}
    for row, outcome in enumerate(images.outcomes(range(len(images)))):
        if isinstance(outcome, DataError):
            problems[row] = str(outcome)
        elif hold:
            array[row] = outcome
    rows = [row for row in range(len(images)) if row not in problems]
    if not problems:
        return held if hold else images, rows, (), images.identities()
    some = _some([*problems.values()])
    count = "1 image" if len(problems) == 1 else f"{len(problems)} images"
    if not skip:
        raise DataError(f"{count} cannot be read; replace or remove:\n{some}\nor leave out with on_bad_image: skip")
    if not rows:
        raise DataError(f"no image can be read, of {len(images)}:\n{some}")
    readable = images.of_items([images.items[row] for row in rows])
    note = f"{count} of {len(images)} cannot be read and left out:\n{some}"
    return held[rows] if hold else readable, rows, (note,), readable.identities()


def memory_note(pair: DomainPair) -> str | None:
    """Return which parts of a pair are read or decoded while training and what would spare it; None if none is."""
    streamed = {key: domain.images for key, domain in pair.domains.items() if isinstance(domain.images, Streamed)}
    cached = {key: images for key, images in streamed.items() if isinstance(images.items[0], CachedImage)}
    decoded = [key for key in streamed if key not in cached]
    told = []
    if cached:
        folder = next(item.path.parent for images in cached.values() for item in images.items)  # type: ignore[attr-defined]
        told = [f"read from {folder}, where they lie decoded: {', '.join(cached)}"]
    if not decoded:
        return told[0] if told else None
    needed = math.ceil(sum(math.prod(domain.training_images.shape) for domain in pair.domains.values()) / MIB)
    return "; ".join(
        [
            *told,
            f"decoded while training: the files of {', '.join(decoded)}",
            f"data.resident_mb={needed} would hold all images in memory, data.cache=FOLDER decode them once",
        ]
    )


def _some(problems: list[str]) -> str:
    more = f"\n  and {len(problems) - 5} more" if len(problems) > 5 else ""
    return "\n".join(f"  {problem}" for problem in problems[:5]) + more
