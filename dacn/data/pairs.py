"""The pair of domains that the `data` part of a recipe describes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from dacn.data.catalogue import DATASETS as DATASETS
from dacn.data.catalogue import PAIRS as PAIRS
from dacn.data.catalogue import Load, PairParts, SetParts
from dacn.data.classes import class_names, match_classes, require_labels
from dacn.data.config import DataConfig as DataConfig
from dacn.data.contexts import with_contexts
from dacn.data.domain import Domain, DomainPair
from dacn.data.spec import AnySpec, each
from dacn.data.subset import balanced_subset, join, joined_name, share_among
from dacn.errors import DataError

_T = TypeVar("_T")


def build_pair(config: DataConfig) -> DomainPair:
    """Read the images that a config describes.

    >>> build_pair(DataConfig(pair="digits")).classes[:3]
    ('0', '1', '2')

    Raises:
        DataError: files that are absent or damaged, labels that are missing or too few, class sets that differ.
    """
    pair = _between_domains(config) if config.dataset is None else _within_one_set(config)
    return with_contexts(config.context, pair)


def _between_domains(config: DataConfig) -> DomainPair:
    """Pair one source or several with a target."""
    parts = _pair_parts(config)
    sources = [require_labels(key, load()) for key, load in _keyed("source", parts.source)]
    first, classes = sources[0], class_names(sources[0])
    for index in range(1, len(sources)):
        sources[index] = match_classes(f"source[{index}]", sources[index], first, complete=True)
    target = parts.target()
    if target.labels is not None:
        target = match_classes("target", target, first, complete=True)

    def test(key: str, load: Load) -> Domain:
        return match_classes(key, require_labels(key, load()), first, complete=False)

    source_tests = [test(key, load) for key, load in _keyed("source_test", parts.source_test)]
    own = config.pair is None or config.source is not None or config.target is not None
    return DomainPair(
        name=f"{joined_name(sources)}_{target.name}" if own else str(config.pair),
        classes=classes,
        source=join(_labelled(config, classes, sources, target)),
        target=target,
        source_test=join(list(enumerate(source_tests))) if source_tests else None,
        target_test=test("target_test", parts.target_test) if parts.target_test else None,
        flips=parts.flips if config.flips is None else config.flips,
        contexts=_context_names(sources),
        oracle=config.oracle,
        fits=tuple(domain.fit for domain in (*sources, target)),
    )


def _within_one_set(config: DataConfig) -> DomainPair:
    """Pair a few images of a data set, with their labels, with all of them, without: one context for both.

    The labelled images stand among the unlabelled ones too, as in FixMatch's own code (arXiv 2001.07685).
    """
    parts = _set_parts(config)
    whole = require_labels("dataset", parts.train(), "some of which must be known")
    classes = class_names(whole)
    labelled = whole
    if config.labels is not None and not config.oracle:
        counts = share_among(config.labels, whole, classes)
        labelled = balanced_subset("labels", whole, classes, counts, config.label_seed)
    target_test = None
    if parts.test is not None:
        target_test = require_labels("target_test", parts.test())
        target_test = match_classes("target_test", target_test, whole, complete=False, of="dataset")
    return DomainPair(
        name=whole.name,
        classes=classes,
        source=labelled,
        target=whole,
        target_test=target_test,
        flips=parts.flips if config.flips is None else config.flips,
        contexts=(whole.name,),
        oracle=config.oracle,
    )


def _labelled(
    config: DataConfig, classes: Sequence[str], sources: list[Domain], target: Domain
) -> list[tuple[int, Domain]]:
    """Return what is trained on with labels, by context; the target's is the one after the sources'.

    Target images that lend their labels stay among the unlabelled ones too, as in AdaMatch's semi-supervised setting
    (arXiv 2106.04732).
    """
    if config.oracle:
        return [(len(sources), require_labels("oracle", target, "which this trains on"))]
    labelled = list(enumerate(sources))
    if config.target_labels_per_class is not None:
        key, counts = "target_labels_per_class", [config.target_labels_per_class] * len(classes)
        target = require_labels(key, target, "some of which this needs")
        labelled.append((len(sources), balanced_subset(key, target, classes, counts, config.label_seed)))
    return labelled


def _context_names(sources: list[Domain]) -> tuple[str, ...]:
    """Return ``source`` and ``target``; several sources go by their own names, numbered where those are the same."""
    if len(sources) == 1:
        return ("source", "target")
    names = ["target"]
    for source in sources:
        name, number = source.name, 2
        while name in names:
            name, number = f"{source.name}_{number}", number + 1
        names.append(name)
    return (*names[1:], names[0])


def _pair_parts(config: DataConfig) -> PairParts:
    own: dict[str, Any] = {}
    for key in ("source", "source_test"):
        if specs := each(getattr(config, key)):
            own[key] = tuple(partial(_load, config, name, spec) for name, spec in _keyed(key, specs))
    for key in ("target", "target_test"):
        if spec := getattr(config, key):
            own[key] = partial(_load, config, key, spec)
    if config.pair is None:
        return PairParts(**own)
    if "source" in own:
        own.setdefault("source_test", ())
    if "target" in own:
        own.setdefault("target_test", None)
    return replace(PAIRS[config.pair](config.root, config.download, config.image_size), **own)


def _set_parts(config: DataConfig) -> SetParts:
    if isinstance(config.dataset, str):
        parts = DATASETS[config.dataset](config.root, config.download, config.image_size)
    else:
        assert config.dataset is not None
        parts = SetParts(partial(_load, config, "dataset", config.dataset))
    if config.target_test is None:
        return parts
    return replace(parts, test=partial(_load, config, "target_test", config.target_test))


def _load(config: DataConfig, key: str, spec: AnySpec) -> Domain:
    try:
        return spec.load(config.root, config.download, config.image_size)
    except DataError as error:
        raise DataError(f"data.{key}: {error}") from error


def _keyed(key: str, items: Sequence[_T]) -> Iterator[tuple[str, _T]]:
    """Yield each item with its key in the recipe: ``source``, or ``source[0]``, ``source[1]`` in a list."""
    if len(items) == 1:
        yield key, items[0]
    else:
        yield from ((f"{key}[{index}]", item) for index, item in enumerate(items))
