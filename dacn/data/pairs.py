"""The pair of domains that the `data` part of a recipe describes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from dacn.data.catalogue import DATASETS as DATASETS
from dacn.data.catalogue import PAIRS as PAIRS
from dacn.data.catalogue import Load, PairParts, SetParts
from dacn.data.class_map import keep_classes, rename_classes, require_known
from dacn.data.classes import class_names, match_classes, require_labels
from dacn.data.config import DataConfig as DataConfig
from dacn.data.domain import Domain, DomainPair
from dacn.data.residence import Residence
from dacn.data.spec import AnySpec, each
from dacn.data.split import split_off_test
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
    parts, flips = find_parts(config)
    return assemble(config, {key: load() for key, load in parts.items()}, flips)


def find_parts(config: DataConfig) -> tuple[dict[str, Load], bool]:
    """Return how to load each part of the pair, by its key in the recipe, and whether mirrored images keep their class.

    The keys are ``source`` (or ``source[0]``, ``source[1]``, ...), ``target``, ``source_test`` (likewise) and
    ``target_test``; or ``dataset`` and ``target_test``. Each part comes with its labels, under its own class names.
    """
    parts: dict[str, Load] = {}
    if config.dataset is None:
        pair = _pair_parts(config)
        parts |= dict(_keyed("source", pair.source)) | {"target": pair.target}
        parts |= dict(_keyed("source_test", pair.source_test))
        test, flips = pair.target_test, pair.flips
    else:
        single = _set_parts(config)
        parts["dataset"] = single.train
        test, flips = single.test, single.flips
    if test is not None:
        parts["target_test"] = test
    return parts, flips if config.flips is None else config.flips


def assemble(config: DataConfig, parts: Mapping[str, Domain], flips: bool) -> DomainPair:
    """Make a pair of loaded parts.

    Args:
        config: what to make of them.
        parts: by the keys of `find_parts`.
        flips: whether a mirrored image is still of its class.

    Raises:
        DataError: labels that are missing or too few, class sets that differ, or files that are damaged.
    """
    parts = in_common_words(config, parts)
    pair = (
        _between_domains(config, parts) if config.dataset is None else _within_one_set(config, parts["dataset"], parts)
    )
    return DomainPair(**_settled(config, pair), flips=flips, oracle=config.oracle)


def in_common_words(config: DataConfig, parts: Mapping[str, Domain]) -> dict[str, Domain]:
    """Return the parts with the classes that ``data.class_map`` and ``data.classes`` ask for.

    Raises:
        DataError: a name that they have is nowhere to be found.
    """
    parts = dict(parts)
    if config.class_map is not None:
        require_known("class_map", [*config.class_map], _all_classes(parts), "no part of the pair")
        parts = {key: _located(key, rename_classes, part, config.class_map) for key, part in parts.items()}
    if config.classes is not None:
        require_known("classes", config.classes, _all_classes(parts), "no part of the pair")
        parts = {key: _located(key, keep_classes, part, config.classes) for key, part in parts.items()}
    return parts


def _all_classes(parts: Mapping[str, Domain]) -> list[str]:
    labelled = [part for part in parts.values() if part.labels is not None]
    return [*dict.fromkeys(name for part in labelled for name in class_names(part))]


def _between_domains(config: DataConfig, parts: Mapping[str, Domain]) -> dict[str, Any]:
    """Pair one source or several with a target: what a DomainPair is made of."""
    sources = [require_labels(key, part) for key, part in parts.items() if key.partition("[")[0] == "source"]
    first, classes = sources[0], class_names(sources[0])
    for index in range(1, len(sources)):
        sources[index] = match_classes(f"source[{index}]", sources[index], first, complete=True)
    target = parts["target"]
    if target.labels is not None:
        target = match_classes("target", target, first, complete=True)
    tests = {
        key: match_classes(key, require_labels(key, part), first, complete=False)
        for key, part in parts.items()
        if key.partition("[")[0].endswith("_test")
    }
    target_test = tests.pop("target_test", None)
    source_tests = [*tests.values()]
    if config.test_fraction is not None:
        sources, source_tests, target, target_test = _split(config, sources, source_tests, target, target_test)
    own = config.pair is None or config.source is not None or config.target is not None
    return {
        "name": f"{joined_name(sources)}_{target.name}" if own else str(config.pair),
        "classes": classes,
        "source": join(_labelled(config, classes, sources, target)),
        "target": target,
        "source_test": join(list(enumerate(source_tests))) if source_tests else None,
        "target_test": target_test,
        "contexts": _context_names(sources),
    }


def _within_one_set(config: DataConfig, whole: Domain, parts: Mapping[str, Domain]) -> dict[str, Any]:
    """Pair a few images of a data set, with their labels, with all of them, without: one context for both.

    The labelled images stand among the unlabelled ones too, as in FixMatch's own code (arXiv 2001.07685).
    """
    whole = require_labels("dataset", whole, "some of which must be known")
    classes, test = class_names(whole), parts.get("target_test")
    if test is not None:
        test = match_classes("target_test", require_labels("target_test", test), whole, complete=False, of="dataset")
    if config.test_fraction is not None:
        _, _, whole, test = _split(config, [], [], whole, test)
    labelled = whole
    if config.labels is not None and not config.oracle:
        counts = share_among(config.labels, whole, classes)
        labelled = balanced_subset("labels", whole, classes, counts, config.label_seed)
    return {
        "name": whole.name,
        "classes": classes,
        "source": labelled,
        "target": whole,
        "target_test": test,
        "contexts": (whole.name,),
    }


def _split(
    config: DataConfig, sources: list[Domain], source_tests: list[Domain], target: Domain, target_test: Domain | None
) -> tuple[list[Domain], list[Domain], Domain, Domain | None]:
    """Cut a test set off each labelled domain that has none.

    Raises:
        DataError: there is none such.
    """
    assert config.test_fraction is not None
    lacking = bool(sources and not source_tests), target_test is None and target.labels is not None
    if not any(lacking):
        unlabelled = f"; {target.name} has no labels to report on" if target_test is None else ""
        raise DataError(
            f"data.test_fraction: got {config.test_fraction}, but every labelled domain has a test set of its own"
            f"{unlabelled}; leave it out"
        )
    cut = partial(split_off_test, fraction=config.test_fraction, seed=config.test_seed)
    if lacking[0]:
        halves = [cut(source) for source in sources]
        sources, source_tests = [train for train, _ in halves], [test for _, test in halves]
    if lacking[1]:
        target, target_test = cut(target)
    return sources, source_tests, target, target_test


def _settled(config: DataConfig, pair: dict[str, Any]) -> dict[str, Any]:
    """Return what a pair is made of with its images in memory, as far as ``data.resident_mb`` allows."""
    residence = Residence(config)
    for key in ("source", "target", "source_test", "target_test"):
        if pair.get(key) is not None:
            pair[key] = _located(key, residence.settle, pair[key])
    return pair


def _located(key: str, make: Callable[..., _T], *arguments: Any) -> _T:
    """Return ``make(*arguments)``; its DataError gets the key in front."""
    try:
        return make(*arguments)
    except DataError as error:
        raise DataError(f"data.{key}: {error}") from error


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
    domain = _located(key, spec.load, config)
    if spec.class_map is None:
        return domain
    domain = require_labels(key, domain, "which its class_map would rename")
    require_known(f"{key}.class_map", [*spec.class_map], class_names(domain), domain.name)
    return _located(key, rename_classes, domain, spec.class_map)


def _keyed(key: str, items: Sequence[_T]) -> Iterator[tuple[str, _T]]:
    """Yield each item with its key in the recipe: ``source``, or ``source[0]``, ``source[1]`` in a list."""
    if len(items) == 1:
        yield key, items[0]
    else:
        yield from ((f"{key}[{index}]", item) for index, item in enumerate(items))
