"""The parts that the `data` part of a recipe names, and how each is loaded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from dacn.data.classes.class_map import rename_classes, require_known
from dacn.data.classes.classes import class_names, require_labels
from dacn.data.domain import Domain
from dacn.data.known.catalogue import DATASETS, PAIRS, Load, PairParts, SetParts
from dacn.data.pair.config import DataConfig
from dacn.data.pair.contexts import require_context_file
from dacn.data.pair.spec import AnySpec, as_tuple
from dacn.data.read.folder import FolderSpec, at_right_level
from dacn.errors import DataError

_T = TypeVar("_T")


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


def load_parts(config: DataConfig, parts: Mapping[str, Load]) -> dict[str, Domain]:
    """Return every part, loaded.

    Raises:
        DataError: some cannot be, or the file of the contexts is not there: all that is wrong in one message.
    """
    loaded: dict[str, Domain] = {}
    problems: list[str] = []
    for key, load in parts.items():
        try:
            loaded[key] = load()
        except DataError as error:
            problems.append(str(error))
    try:
        require_context_file(config.context)
    except DataError as error:
        problems.append(str(error))
    problems = [*dict.fromkeys(problems)]  # a target that is its own test set is missing once
    if len(problems) > 1:
        problems = [f"{len(problems)} problems with the images:", *(text.replace("\n", "\n  ") for text in problems)]
    if problems:
        raise DataError("\n  ".join(problems))
    return loaded


def with_key_in_errors(key: str, make: Callable[..., _T], *arguments: Any) -> _T:
    """Return ``make(*arguments)``; a DataError that it raises names the recipe's key first."""
    try:
        return make(*arguments)
    except DataError as error:
        raise DataError(f"data.{key}: {error}") from error


def _pair_parts(config: DataConfig) -> PairParts:
    own: dict[str, Any] = {}
    for key in ("source", "source_test"):
        if specs := as_tuple(getattr(config, key)):
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
    return replace(PAIRS[config.pair](config), **own)


def _set_parts(config: DataConfig) -> SetParts:
    if isinstance(config.dataset, str):
        parts = DATASETS[config.dataset](config)
    else:
        assert config.dataset is not None
        parts = SetParts(partial(_load, config, "dataset", config.dataset))
    if config.target_test is None:
        return parts
    return replace(parts, test=partial(_load, config, "target_test", config.target_test))


def _load(config: DataConfig, key: str, spec: AnySpec) -> Domain:
    domain = with_key_in_errors(key, spec.load, config)
    if isinstance(spec, FolderSpec):
        domain = with_key_in_errors(key, at_right_level, f"data.{key}.folder", spec.folder, domain)
    if spec.class_map is None:
        return domain
    domain = require_labels(key, domain, "which its class_map would rename")
    require_known(f"{key}.class_map", [*spec.class_map], class_names(domain), domain.name)
    return with_key_in_errors(key, rename_classes, domain, spec.class_map)


def _keyed(key: str, items: Sequence[_T]) -> Iterator[tuple[str, _T]]:
    """Yield each item with its key in the recipe: ``source``, or ``source[0]``, ``source[1]`` in a list."""
    if len(items) == 1:
        yield key, items[0]
    else:
        yield from ((f"{key}[{index}]", item) for index, item in enumerate(items))
