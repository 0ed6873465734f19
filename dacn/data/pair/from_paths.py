"""A pair whose parts are given as paths, as `dacn.DomainPair` takes them in Python."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dacn.data.domain import Domain
from dacn.data.pair.config import DataConfig
from dacn.data.pair.pairs import build_pair
from dacn.data.read.folder import folder
from dacn.data.read.npz import npz
from dacn.errors import DataError

Part = Domain | Path | str


def read_parts(parts: Mapping[str, Part], image_size: int | None) -> dict[str, Any]:
    """Read the parts that are paths, each a folder of images or an ``.npz`` archive.

    Where all of them are, they are read as a recipe's ``data`` are: classes matched by name, the size chosen from the
    files unless it is given. Beside domains they get the size of those.

    Args:
        parts: by the names that they have in a recipe: source, target, source_test, target_test.
        image_size: pixels of both sides; None: as above.

    Returns:
        The fields of the pair that come out of it.

    Raises:
        DataError: a path that is not there, or images that do not go together.
    """
    paths = {name: Path(part).expanduser() for name, part in parts.items() if not isinstance(part, Domain)}
    domains = {name: part for name, part in parts.items() if isinstance(part, Domain)}
    if domains:
        size = image_size or next(iter(domains.values())).images.shape[-1]
        return domains | {name: _read(path, size) for name, path in paths.items()}
    try:
        tree = {name: {"npz" if _is_archive(path) else "folder": path} for name, path in paths.items()}
        config = DataConfig.model_validate({**tree, "image_size": image_size})
    except ValidationError as error:
        problem = error.errors()[0]
        place, told = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
        raise DataError(f"{place}: {told}" if place else told) from error
    pair = build_pair(config)
    return pair.domains | {"classes": pair.classes, "fits": pair.fits}


def _read(path: Path, size: int) -> Domain:
    return npz(path, size) if _is_archive(path) else folder(path, size)


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".npz"
