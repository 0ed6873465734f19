"""The images of a domain: bytes in memory, or files that are decoded when they are asked for.

Code that reads them is the same for both: ``len(images)``, ``images.shape``, ``images[rows]``, and the functions below.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import chain
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from dacn.data.fit import Pixels, centre_crop
from dacn.data.read.identity import of_bytes, stacked
from dacn.errors import DataError

MOST_WORKERS = 8
_WINDOW = 256  # images decoded ahead while many are read in one go


class Item(Protocol):
    """One image that can be read at any time, from any thread, and is the same each time."""

    def read(self) -> Pixels:
        """Return its pixels, ``(size, size, 3)``; a DataError names it where that is impossible."""

    def identity(self) -> bytes:
        """Return what tells it from any other image, 8 bytes (`dacn.data.read.identity`)."""


class Streamed:
    """Images that are decoded when they are asked for, by threads that may begin before.

    Threads, and not processes: Pillow decodes and resizes without holding Python's lock, a thread costs no memory and
    needs nothing of the script that it runs in. What is asked for decides what is returned, never what was begun
    `prefetch`: so the batches are those of images in memory, to the bit.

    Args:
        items: one an image.
        size: pixels of both sides.
        crop: pixels of both sides of the centre square that is returned; None: all of the image.
        workers: threads; None: as many as the machine has cores, at most 8.
        device: where decoded images are put.
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(
        self,
        items: Sequence[Item],
        size: int,
        *,
        crop: int | None = None,
        workers: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.items, self.size, self.crop = items, size, crop
        self.workers = workers or min(MOST_WORKERS, os.cpu_count() or 1)
        self.device = device or torch.device("cpu")
        self._begun: dict[int, Future[Pixels]] = {}

    def __len__(self) -> int:
        return len(self.items)

    @property
    def shape(self) -> torch.Size:
        """``(N, 3, H, W)``, as a tensor's."""
        side = self.size if self.crop is None else self.crop
        return torch.Size((len(self.items), 3, side, side))

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """Return the images of some rows: ``(n, 3, H, W)`` uint8 on the device.

        Raises:
            DataError: one of them cannot be read; the message names its file.
        """
        wanted = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        pin = self.device.type == "cuda"
        images = torch.empty(len(wanted), *self.shape[1:], dtype=torch.uint8, pin_memory=pin)
        array = images.numpy()
        for index, outcome in enumerate(self.outcomes(wanted)):
            if isinstance(outcome, DataError):
                raise outcome
            array[index] = outcome
        return images.to(self.device, non_blocking=True)

    def outcomes(self, rows: Sequence[int]) -> Iterator[Pixels | DataError]:
        """Yield for each row its pixels ``(3, H, W)``, or why it cannot be read."""
        for start in range(0, len(rows), _WINDOW):
            self.prefetch(rows[start : start + 2 * _WINDOW])
            for row in rows[start : start + _WINDOW]:
                if row not in self._begun:  # the same image twice in one batch
                    self.prefetch([row])
                future = self._begun.pop(row)
                try:
                    yield future.result()
                except DataError as error:
                    yield error

    def identities(self) -> Tensor:
        """Return what tells each image from any other, whatever is decoded of it: (N,) int64.

        Raises:
            DataError: a file cannot be read; the message names it.
        """
        return stacked(_pool(self.workers).map(lambda item: item.identity(), self.items))

    def prefetch(self, rows: Iterable[int]) -> None:
        """Start decoding rows that will be fetched soon, except those already started."""
        for row in rows:
            if row not in self._begun:
                self._begun[row] = _pool(self.workers).submit(_decoded, self.items[row], self.crop)

    def to(self, device: torch.device) -> "Streamed":
        """Return the same images, put on ``device`` once decoded."""
        return self if device == self.device else self._like(self.items, device=device)

    def of_items(self, items: Sequence[Item]) -> "Streamed":
        """Return other images, read as these are."""
        return self._like(items)

    def cropped(self, size: int | None) -> "Streamed":
        """Return the centre squares of the same images, of ``size`` pixels; None: all of them."""
        return self._like(self.items, crop=size)

    def _like(self, items: Sequence[Item], **changed: Any) -> "Streamed":
        own = {"crop": self.crop, "workers": self.workers, "device": self.device}
        return Streamed(items, self.size, **own | changed)


Images = Tensor | Streamed


class MemoryImage(NamedTuple):
    """One image of a tensor in memory, with the methods of an image that is decoded when asked for."""

    images: Tensor  # (N, 3, H, W) uint8, on the CPU
    row: int

    def read(self) -> Pixels:
        """Return its pixels."""
        pixels: Pixels = self.images[self.row].permute(1, 2, 0).numpy()
        return pixels

    def identity(self) -> bytes:
        """Return that of its pixels."""
        return of_bytes(self.images[self.row].contiguous().numpy().tobytes())


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Return the threads that all images of a process share."""
    return ThreadPoolExecutor(workers, thread_name_prefix="dacn-decode")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a forked process


def _decoded(item: Item, crop: int | None) -> Pixels:
    pixels = item.read().transpose(2, 0, 1)  # (3, H, W)
    return (pixels if crop is None else centre_crop(pixels, crop)).copy()


def fetch(images: Images, rows: Tensor) -> Tensor:
    """Return the images of some rows, which are given on the CPU: ``(n,)`` to ``(n, 3, H, W)`` uint8."""
    if isinstance(images, Streamed):
        return images[rows]
    return images.index_select(0, rows.to(images.device, non_blocking=True))  # on a CPU ten times as fast as []


def prefetch(images: Images, rows: Tensor) -> None:
    """Start decoding images that will be fetched soon; images in memory need none."""
    if isinstance(images, Streamed):
        images.prefetch(rows.tolist())


def batches(images: Images, size: int) -> Iterator[Tensor]:
    """Yield all images in their order, ``size`` at a time: ``(n, 3, H, W)`` uint8."""
    for start in range(0, len(images), size):
        if isinstance(images, Streamed):
            images.prefetch(range(len(images))[start : start + 2 * size])
        yield images[start : start + size]


def select(images: Images, rows: Tensor) -> Images:
    """Return some of the images as images; what is not in memory stays so."""
    if isinstance(images, Streamed):
        return images.of_items([images.items[row] for row in rows.tolist()])
    return images[rows.to(images.device)]


def concatenate(parts: Sequence[Images]) -> Images:
    """Return the images of all parts, one part after the other; in memory if every part is."""
    streamed = [part for part in parts if isinstance(part, Streamed)]
    if not streamed:
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    items = [part.items if isinstance(part, Streamed) else _rows(part.cpu()) for part in parts]
    return streamed[0].of_items([*chain.from_iterable(items)])


def crop_images(images: Images, size: int) -> Images:
    """Return the centre squares of images, of ``size`` pixels; of those in memory without copying them."""
    return images.cropped(size) if isinstance(images, Streamed) else centre_crop(images, size)


def _rows(images: Tensor) -> list[Item]:
    return [MemoryImage(images, row) for row in range(len(images))]
