"""Warnings about a pair that can be trained on but may not be what the user meant."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dacn.data.classes.classes import listed
from dacn.data.classes.names import alike
from dacn.data.inspect.duplicates import Duplicates
from dacn.data.inspect.part_report import PartReport
from dacn.data.inspect.shift import label_distance
from dacn.data.pair.config import DataConfig

UNEVEN = 10  # times as many images in the largest class as in the smallest
SHIFTED = 0.2  # label distance
OBLONG = 1.5  # longer side by shorter side
ALIKE = 0.1  # proxy A-distance: less than three images in a hundred above chance


def remarks(
    config: DataConfig, parts: Mapping[str, PartReport], shared: Sequence[Duplicates], distance: float | None
) -> list[str]:
    """Return what to say of the classes, the sizes, the shift and the duplicates, one line each."""
    lines = [line for key, part in parts.items() for line in (*_classes(key, part), *_sizes(config, key, part))]
    source, target = parts.get("source"), parts.get("target")
    if source and target:
        lines += _between(source, target)
    if target and target.classes is None and "target_test" not in parts:
        lines.append("target: no labels and no data.target_test, so its accuracy will not be known")
    if distance is not None and distance < ALIKE and config.dataset is None and not config.oracle:
        lines.append("source and target look alike to a linear classifier: are these two domains?")
    return lines + [line for found in shared for line in _duplicates(found, parts[found.between[0]].images)]


def _classes(key: str, part: PartReport) -> Iterator[str]:
    if part.repeated:
        yield f"{key}: {part.repeated:,} of {part.images:,} images stand there more than once"
    if part.classes is None:
        return
    for names in alike(part.classes):
        yield f"{key}: the classes {listed(names)} differ by case or spaces alone; data.class_map joins them"
    if empty := [name for name, count in part.classes.items() if count == 0]:
        yield f"{key}: no image of {listed(empty)}"
    present = {name: count for name, count in part.classes.items() if count}
    most, fewest = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
    if key == "source" and present[most] >= UNEVEN * present[fewest]:
        yield f"{key}: {present[most]:,} images of {most!r}, but {present[fewest]:,} of {fewest!r}"


def _sizes(config: DataConfig, key: str, part: PartReport) -> Iterator[str]:
    if part.original_sizes is None:
        return
    width, height = part.original_sizes[1]
    short, long = sorted((width, height))
    if 2 * short <= config.read_size:
        yield f"{key}: the median file has {width}x{height} pixels, enlarged to {config.read_size}x{config.read_size}"
    if config.resize == "crop" and long >= OBLONG * short:
        lost = 100 * (1 - short / long)
        yield f"{key}: the median file has {width}x{height} pixels, of which data.resize: crop cuts off {lost:.0f} %"


def _between(source: PartReport, target: PartReport) -> Iterator[str]:
    if source.classes is None or target.classes is None or {*source.classes} != {*target.classes}:
        return
    names = [*source.classes]
    first, second = (np.array([own[name] for name in names]) for own in (source.classes, target.classes))
    if (distance := label_distance(first, second)) > SHIFTED:
        a, b = 100 * first / first.sum(), 100 * second / second.sum()
        most = int(np.abs(a - b).argmax())
        yield (
            f"source and target have their classes in different shares (distance {distance:.2f} of 1): "
            f"{names[most]!r} is {a[most]:.0f} % of the source and {b[most]:.0f} % of the target"
        )


def _duplicates(found: Duplicates, in_first: int) -> Iterator[str]:
    first, second = found.between
    if found.exact == found.of == in_first:
        why = ", of which training sees all but the labels" if second == "target_test" else ""
        yield f"{second}: the very images of {first}{why}"
        return
    how = [f"{found.exact:,} {_are(found.exact)} in {first} too"] if found.exact else []
    how += [f"{found.near:,} {_are(found.near)} nearly the same as one in {first}"] if found.near else []
    if how:
        here, there = found.examples[0][1], found.examples[0][0]
        yield f"{second}: of {found.of:,} images {' and '.join(how)}; for example {here} ({first}: {there})"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
