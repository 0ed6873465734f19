"""The range by which values of more than 8 bits become bytes: one for all domains of a run, given or found."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Literal, Protocol, Self, runtime_checkable

from dacn.data.domain import Domain
from dacn.data.read.images import Item, Streamed
from dacn.data.values import STEPS, Extent, ValueRange

_PART = 64  # images a thread surveys in one go
RangeSetting = Literal["auto"] | tuple[float, float]


@runtime_checkable
class DeepImage(Protocol):
    """An image that may hold values of more than 8 bits."""

    def extent(self) -> Extent | None:
        """Return their range; None where they are bytes, or cannot be read."""

    def within(self, value_range: ValueRange | None) -> Self:
        """Return the image, to be read by that range."""


def read_by_one_range(domains: Mapping[str, Domain], setting: RangeSetting) -> dict[str, Domain]:
    """Return domains whose images are all read by one range, with notes on what it is and whom it does not fit.

    Args:
        domains: of one run, by any name; their files are not read yet.
        setting: ``data.range``.
    """
    streamed = {id(domain.images): domain.images for domain in domains.values() if isinstance(domain.images, Streamed)}
    extents = {key: find_extents(images.items, images.workers) for key, images in streamed.items()}
    value_range = choose_range([extent for found in extents.values() for extent in found if extent], setting)
    within = {key: by_range(images, value_range) for key, images in streamed.items() if any(extents[key])}
    return {
        key: replace(
            domain,
            images=within[id(domain.images)],
            value_range=value_range,
            notes=(*domain.notes, *remarks(domain.name, domain.images.items, extents[id(domain.images)], value_range)),
        )
        if isinstance(domain.images, Streamed) and id(domain.images) in within
        else replace(domain, value_range=stated(setting) or domain.value_range)
        for key, domain in domains.items()
    }


def stated(setting: RangeSetting) -> ValueRange | None:
    """Return the range that a person stated, if one did."""
    return None if setting == "auto" else ValueRange(*setting)


def find_extents(items: Sequence[Item], workers: int) -> list[Extent | None]:
    """Return the range of each image's values; None where they are bytes, or cannot be read."""
    if not any(isinstance(item, DeepImage) for item in items):
        return [None] * len(items)
    parts = [items[start : start + _PART] for start in range(0, len(items), _PART)]
    with ThreadPoolExecutor(workers, thread_name_prefix="dacn-survey") as pool:
        return [*chain.from_iterable(pool.map(_extents, parts))]


def choose_range(extents: Sequence[Extent], setting: RangeSetting) -> ValueRange | None:
    """Return what is stated; else 0 to the least of `STEPS` that no unsigned 16-bit value exceeds; None without any."""
    if (given := stated(setting)) is not None:
        return given
    highest = max((extent.high for extent in extents if extent.storage.countable), default=None)
    if highest is None:
        return None
    return ValueRange(0, next(step for step in STEPS if step >= highest), stated=False)


def by_range(images: Streamed, value_range: ValueRange | None) -> Streamed:
    """Return the same images, to be read by a range."""
    return images.of_items([item.within(value_range) if isinstance(item, DeepImage) else item for item in images.items])


def remarks(
    name: str, items: Sequence[object], extents: Sequence[Extent | None], value_range: ValueRange | None
) -> tuple[str, ...]:
    """Return what a user should be told of the range that a domain's images are read by.

    Args:
        name: the domain's.
        items: its images; named by their ``path``, where they have one.
        extents: the range of each.
        value_range: what they are read by.
    """
    deep = [(getattr(item, "path", None), extent) for item, extent in zip(items, extents, strict=True) if extent]
    if value_range is None or not deep:  # none, or none that can be read: those are refused one by one
        return ()
    low, high = min(extent.low for _, extent in deep), max(extent.high for _, extent in deep)
    kinds = " and ".join(sorted({extent.storage.name for _, extent in deep}))
    count = "1 image has" if len(deep) == 1 else f"{len(deep):,} images have"
    told = "as stated" if value_range.stated else "found over all images of the run; data.range states another"
    text = f"{name}: {count} {kinds} values from {low:g} to {high:g}, read as {value_range} ({told})"
    outside = [path for path, extent in deep if extent.low < value_range.low or extent.high > value_range.high]
    narrow = [path for path, extent in deep if extent.high - extent.low < (value_range.high - value_range.low) / 8]
    text += _counted(outside, "go beyond it and are clipped")
    text += _counted(narrow, "use less than an eighth of it and look nearly of one shade")
    return (text,)


def _counted(paths: Sequence[object], what: str) -> str:
    if not paths:
        return ""
    return f"; {len(paths):,} of them {what}" + ("" if paths[0] is None else f", for example {paths[0]}")


def _extents(items: Sequence[Item]) -> list[Extent | None]:
    return [item.extent() if isinstance(item, DeepImage) else None for item in items]
