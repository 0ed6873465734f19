"""Inspects a pair before training: counts, statistics, shift, duplicates, and every problem."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dacn.data.classes.classes import class_names
from dacn.data.domain import Domain, DomainPair
from dacn.data.inspect.duplicates import Duplicates, duplicates
from dacn.data.inspect.image_summary import ImageSummary, summarize_images
from dacn.data.inspect.part_report import PartReport, describe
from dacn.data.inspect.remarks import remarks
from dacn.data.inspect.shift import proxy_a_distance
from dacn.data.pair.config import DataConfig
from dacn.data.pair.image_size import at_chosen_size
from dacn.data.pair.pairs import combine_parts, load_images, make_pair, rename_and_keep_classes
from dacn.data.pair.parts import find_parts
from dacn.data.read.image_file import ImageFile, original_sizes
from dacn.data.read.images import Images, Streamed
from dacn.errors import DataError

COMPARED = (("target", "target_test"), ("source", "source_test"), ("source", "target_test"), ("source", "target"))
"""Which parts are searched for the same images; the second should have none of the first."""


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Args:
        problems: why `dacn train` would refuse the pair, in its own words; empty where it would not.
        warnings: what a user should look at.
        parts: by their key in the recipe.
        proxy_a_distance: between source and target, see `dacn.data.inspect.shift`; None where a domain is too small.
        duplicates: images that stand in two parts.
        pair: what would be trained on; None with problems.
        shown: what a figure can show: the pair, or a source and a target that do not make one.
    """

    problems: list[str]
    warnings: list[str]
    parts: dict[str, PartReport]
    proxy_a_distance: float | None
    duplicates: list[Duplicates]
    pair: DomainPair | None = field(repr=False)
    shown: DomainPair | None = field(repr=False)


def check(config: DataConfig) -> Report:
    """Look at every image that a config describes, and report on whatever can be read.

    Nothing is raised for data that do not hold: what `dacn train` would say of them stands among the problems. Labels
    of the target's training images are counted here and nowhere else.
    """
    found = _PairReader(config)
    pair = found.pair()
    summaries = {key: summarize_images(part.images) for key, part in found.parts.items()}
    parts = {
        key: describe(key, part, summaries[key], found.sizes.get(key), oracle=config.oracle)
        for key, part in found.parts.items()
    }
    source = next((summaries[key] for key in summaries if key in ("source", "source[0]", "dataset")), None)
    target = summaries.get("target")
    distance = None if source is None or target is None else proxy_a_distance(source, target)
    shared = [*_shared(config, summaries, found.files)]
    return Report(
        problems=found.problems,
        warnings=[*found.notes, *remarks(config, parts, shared, distance)],
        parts=parts,
        proxy_a_distance=distance,
        duplicates=shared,
        pair=pair,
        shown=pair or _pair_to_show(found.parts),
    )


def to_json(report: Report) -> dict[str, Any]:
    """Return the report as plain values."""
    return {
        "problems": report.problems,
        "warnings": report.warnings,
        "parts": {key: asdict(part) for key, part in report.parts.items()},
        "proxy_a_distance": report.proxy_a_distance,
        "duplicates": [asdict(found) for found in report.duplicates],
    }


class _PairReader:
    """Builds a pair as `build_pair` does, but collects errors instead of raising and keeps the parts it could read."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.parts: dict[str, Domain] = {}
        self.files: dict[str, list[str]] = {}
        self.sizes: dict[str, list[tuple[int, int]]] = {}

    def pair(self) -> DomainPair | None:
        """Return the pair, or None where there is a problem."""
        loads, flips = find_parts(self.config)
        for key, load in loads.items():
            try:
                self.parts[key] = load()
            except DataError as error:
                self.problems.append(str(error))
        try:
            self.config, self.parts = at_chosen_size(self.config, self.parts)
        except DataError as error:
            self.problems.append(str(error))
        self._note()
        made_of: dict[str, Any] = dict(self.parts)
        if not self.problems:
            try:
                made_of = combine_parts(self.config, self.parts)
            except DataError as error:
                self.problems.append(str(error))
                made_of = self._renamed()
        self.parts = {key: part for key, part in made_of.items() if isinstance(part, Domain)}
        self.sizes = {key: original_sizes(part.images) for key, part in self.parts.items()}
        self.files = {key: _file_names(part.images) for key, part in self.parts.items()}
        made_of = self._read(made_of)
        self.parts = {key: part for key, part in made_of.items() if isinstance(part, Domain)}
        if self.problems:  # where files cannot be read, the notes say again what is a problem already
            return None
        self._note()
        try:
            return make_pair(self.config, made_of, flips)
        except DataError as error:
            self.problems.append(str(error))
            return None

    def _note(self) -> None:
        new = (note for part in self.parts.values() for note in part.notes)
        self.notes = [*dict.fromkeys((*self.notes, *new))]

    def _renamed(self) -> dict[str, Domain]:
        try:
            return rename_and_keep_classes(self.config, self.parts)
        except DataError:  # is among the problems already
            return self.parts

    def _read(self, made_of: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts with their files read; where some cannot be, those are a problem and left out."""
        try:
            return load_images(self.config, made_of)
        except DataError as error:
            self.problems.append(str(error))
        lenient = self.config.model_copy(update={"on_bad_image": "skip"})
        readable = dict(made_of)
        for key, part in made_of.items():
            if isinstance(part, Domain):
                try:
                    readable[key] = load_images(lenient, {key: part})[key]
                except DataError:
                    del readable[key]
        return readable


def _shared(
    config: DataConfig, summaries: Mapping[str, ImageSummary], files: Mapping[str, list[str]]
) -> Iterator[Duplicates]:
    """Yield the images that two parts share, for each two parts that should share none."""
    lent = config.dataset is not None or config.oracle or config.target_labels_per_class is not None
    for first, second in COMPARED:
        if first in summaries and second in summaries and not (lent and (first, second) == ("source", "target")):
            names = {
                key: files[key] if len(files[key]) == len(summaries[key].digests) else [] for key in (first, second)
            }
            yield duplicates(first, second, summaries, names)


def _pair_to_show(parts: Mapping[str, Domain]) -> DomainPair | None:
    """Return a pair only to be shown in a figure, whatever its classes; None without both source and target."""
    source = parts.get("source", parts.get("source[0]"))
    if source is None or source.labels is None or "target" not in parts:
        return None
    try:
        return DomainPair(source=replace(source, classes=class_names(source)), target=parts["target"])
    except DataError:  # is among the problems already
        return None


def _file_names(images: Images) -> list[str]:
    if not isinstance(images, Streamed):
        return []
    return [str(item.path) if isinstance(item, ImageFile) else "" for item in images.items]
