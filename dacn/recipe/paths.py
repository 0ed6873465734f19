"""The paths in a recipe: which they are, made absolute, and followed when a whole project has moved."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from dacn.config import Config

_C = TypeVar("_C", bound=Config)

_PATHS = ("folder", "npz", "root", "path", "cache")
"""The keys of paths."""

_WEIGHTS = "pretrained"
"""The key of a file of weights, or of true or false. Which file it is counts, and where it lies does not."""

_NAMES = ("class_map", "groups")
"""Mappings whose keys are names of the user's."""


def paths_in(config: Config, key: str = "") -> Iterator[tuple[str, Path]]:
    """Yield every path in a config with its key, such as ``data.source[1].folder``."""
    for name in type(config).model_fields:
        below = f"{key}.{name}" if key else name
        value = getattr(config, name)
        if isinstance(value, Path):
            yield below, value
        elif isinstance(value, Config):
            yield from paths_in(value, below)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Config):
                    yield from paths_in(item, f"{below}[{index}]")


def with_paths(config: _C, change: Callable[[Path], Path]) -> _C:
    """Return the same config with every path in it changed; what it leaves out stays left out (`model_fields_set`)."""

    def changed(value: Any) -> Any:
        if isinstance(value, Path):
            return change(value)
        if isinstance(value, Config):
            return with_paths(value, change)
        return tuple(map(changed, value)) if isinstance(value, tuple) else value

    values = {name: getattr(config, name) for name in type(config).model_fields}
    update = {name: new for name, value in values.items() if (new := changed(value)) != value}
    return config.model_copy(update=update)


def absolute(config: _C) -> _C:
    """Return the same config, its relative paths made absolute from the working directory."""
    return with_paths(config, Path.absolute)


def without_paths(config: Config) -> dict[str, Any]:
    """Return what a config says but for where files lie, as plain values: two that say the same may differ in those."""
    return with_paths(config, lambda _: Path("-")).model_dump(mode="json")


def tree_without_paths(value: Any) -> Any:
    """Return a stored recipe's plain values without those that say where files lie, whatever version wrote them.

    >>> tree_without_paths({"root": "data", "source": {"folder": "a", "class_map": {"root": "b"}}})
    {'source': {'class_map': {'root': 'b'}}}
    >>> tree_without_paths({"pretrained": "/weights/resnet50.pt"}), tree_without_paths({"pretrained": True})
    ({'pretrained': 'resnet50.pt'}, {'pretrained': True})
    """
    if isinstance(value, dict):
        named = {key: Path(below).name for key, below in value.items() if key == _WEIGHTS and isinstance(below, str)}
        return {
            key: below if key in _NAMES else tree_without_paths(below)
            for key, below in (value | named).items()
            if key not in _PATHS
        }
    return [tree_without_paths(below) for below in value] if isinstance(value, list) else value


def relocated(config: _C, home: Path) -> _C:
    """Return the config with its paths adjusted to a moved project.

    A path that is gone and lay below ``home`` leads to the same place below the present folder.

    Args:
        config: its paths are absolute.
        home: the working directory of whoever made them so.
    """

    def follow(path: Path) -> Path:
        if path.exists() or not path.is_relative_to(home):
            return path
        here = Path.cwd() / path.relative_to(home)
        return here if here.exists() else path

    return with_paths(config, follow)
