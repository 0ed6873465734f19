"""The pair of domains that the `data` part of a recipe describes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dacn.data.classes.class_map import keep_classes, rename_classes, require_known
from dacn.data.classes.classes import class_names, match_classes, require_labels, require_two_classes
from dacn.data.domain import Domain, DomainPair
from dacn.data.known.catalogue import DATASETS as DATASETS
from dacn.data.known.catalogue import PAIRS as PAIRS
from dacn.data.known.names import NAMED_PAIRS
from dacn.data.pair.config import DataConfig as DataConfig
from dacn.data.pair.contexts import with_contexts
from dacn.data.pair.image_size import at_chosen_size
from dacn.data.pair.parts import find_parts, load_parts, with_key_in_errors
from dacn.data.pair.split import split_off_test
from dacn.data.pair.subset import balanced_subset, join, joined_name, long_tailed_subset, share_among
from dacn.data.read.ranges import read_by_one_range
from dacn.data.read.resident import ResidentLoader
from dacn.errors import DataError


def build_pair(config: DataConfig) -> DomainPair:
    """Read the images that a config describes.

    >>> build_pair(DataConfig(pair="digits")).classes[:3]
    ('0', '1', '2')

    Raises:
        DataError: files that are absent (all of them named) or damaged, labels that are missing or too few, class sets
            that differ.
    """
    parts, flips = find_parts(config)
    config, loaded = at_chosen_size(config, load_parts(config, parts))
    return make_pair(config, load_images(config, combine_parts(config, loaded)), flips)


def combine_parts(config: DataConfig, parts: Mapping[str, Domain]) -> dict[str, Any]:
    """Combine the parts into the arguments of a DomainPair; the target still has its labels, and no file is read yet.

    Args:
        config: what to make of the parts.
        parts: by the keys of `find_parts`.

    Raises:
        DataError: labels that are missing or too few, or class sets that differ.
    """
    parts = rename_and_keep_classes(config, parts)
    return _between_domains(config, parts) if config.dataset is None else _within_one_set(config, parts)


def load_images(config: DataConfig, made_of: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of `combine_parts` with its images in memory, as far as ``data.resident_mb`` allows.

    Raises:
        DataError: files that cannot be read.
    """
    loader = ResidentLoader(config)
    keys = [key for key in ("source", "target", "source_test", "target_test") if made_of.get(key) is not None]
    domains = read_by_one_range({key: made_of[key] for key in keys}, config.range)
    loaded = {key: with_key_in_errors(key, loader.load_resident, domain) for key, domain in domains.items()}
    return {**made_of, **loaded}


def make_pair(config: DataConfig, made_of: Mapping[str, Any], flips: bool) -> DomainPair:
    """Return the pair with its contexts; the labels of the target's training images are gone.

    Raises:
        DataError: parts that do not go together, or contexts that do not fit them.
    """
    class_mean = config.class_mean
    if class_mean is None:
        class_mean = config.pair in NAMED_PAIRS and config.target is None and NAMED_PAIRS[config.pair].class_mean
    pair = DomainPair(**made_of, flips=flips, oracle=config.oracle, class_mean=class_mean)
    return with_contexts(config.context, pair)


def rename_and_keep_classes(config: DataConfig, parts: Mapping[str, Domain]) -> dict[str, Domain]:
    """Return the parts with the classes that ``data.class_map`` and ``data.classes`` ask for.

    Raises:
        DataError: a name that they have is nowhere to be found.
    """
    parts = dict(parts)
    if config.class_map is not None:
        require_known("class_map", [*config.class_map], _all_classes(parts), "any part of the pair")
        parts = {key: with_key_in_errors(key, rename_classes, part, config.class_map) for key, part in parts.items()}
    if config.classes is not None:
        require_known("classes", config.classes, _all_classes(parts), "any part of the pair")
        parts = {key: with_key_in_errors(key, keep_classes, part, config.classes) for key, part in parts.items()}
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
    require_two_classes("source", sources)
    target = parts["target"]
    if target.labels is not None:
        target = match_classes("target", target, first, complete=config.target_classes == "same")
    tests = {
        key: match_classes(key, require_labels(key, part), first, complete=False)
        for key, part in parts.items()
        if key.partition("[")[0].endswith("_test")
    }
    target_test = tests.pop("target_test", None)
    source_tests = [*tests.values()]
    if config.test_fraction is not None:
        sources, source_tests, target, target_test = _split(config, sources, source_tests, target, target_test)
    if config.target_imbalance is not None:
        labelled = require_labels("target_imbalance", target, "by which its classes are thinned out")
        target = long_tailed_subset(labelled, len(classes), config.target_imbalance, config.label_seed)
    own = config.pair is None or config.source is not None or config.target is not None
    return {
        "name": f"{joined_name(sources)}_{target.name}" if own else str(config.pair),
        "classes": classes,
        "source": join(_labelled(config, classes, sources, target)),
        "target": target,
        "source_test": join(list(enumerate(source_tests))) if source_tests else None,
        "target_test": target_test,
        "contexts": _context_names(sources),
        "fits": tuple(domain.fit for domain in (*sources, target)),
        "fewer_classes": config.target_classes == "fewer",
    }


def _within_one_set(config: DataConfig, parts: Mapping[str, Domain]) -> dict[str, Any]:
    """Pair a few images of a data set, with their labels, with all of them, without: one context for both.

    The labelled images stand among the unlabelled ones too, as in FixMatch's own code (arXiv 2001.07685).
    """
    whole = require_labels("dataset", parts["dataset"], "some of which must be known")
    require_two_classes("dataset", [whole])
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
