"""Where a checkpoint comes from: by which version, recipe and images; and whether others may take its place."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dacn.data.fingerprint import Fingerprint, differences
from dacn.errors import DataError, RecipeError
from dacn.recipe.paths import absolute, relocated, without_paths
from dacn.recipe.recipe import Recipe, parse_recipe
from dacn.run.longer import require_other_length

FREE = {"tracking", "data.resident_mb", "data.workers", "data.cache"}
"""Keys that change what a run needs and not what it computes: it may go on with other values."""

TRAINED_ON = ("source", "target")
"""The parts whose images training goes through in an order that it keeps."""

Data = Mapping[str, Fingerprint]


def origin_of(recipe: Recipe, data: Data | None = None) -> dict[str, Any]:
    """Return what a checkpoint says of where it comes from.

    Args:
        recipe: of the run, its paths absolute.
        data: fingerprints of the run's images.

    Returns:
        ``dacn`` the version, ``recipe``, ``data``, and ``home``, the working directory at which relative paths began.
    """
    tree = {"dacn": version("dacn"), "recipe": recipe.model_dump(mode="json"), "home": str(Path.cwd())}
    return tree if data is None else tree | {"data": dict(data)}


def parse_stored(tree: Mapping[str, Any]) -> Recipe | None:
    """Return a stored recipe as this version reads it, keys that are new since at their defaults; None if it cannot."""
    try:
        return parse_recipe(tree, "a stored recipe")
    except RecipeError:
        return None


def require_same_origin(
    checkpoint: Path, saved: Mapping[str, Any], recipe: Recipe, data: Data | None = None, *, other_data: bool = False
) -> list[str]:
    """Make sure that the run of a checkpoint can go on with this very recipe and version, on the same images.

    Only the number of steps may be another, where that changes nothing in those that are done. The images may lie
    elsewhere. A checkpoint that does not say which they were must find them where they were.

    Args:
        checkpoint: its file, for the message.
        saved: its content.
        recipe: what would go on.
        data: fingerprints of the images that it would go on with.
        other_data: go on with other images too, as many of each part.

    Returns:
        What to warn of.

    Raises:
        RecipeError: it cannot; the message names the versions, the keys or the parts that differ.
    """
    then, now = _origin(checkpoint, saved), version("dacn")
    if then["dacn"] != now:
        raise RecipeError(
            f"--resume: {checkpoint} was written by dacn {then['dacn']}, and this is {now}; "
            "go on with that version, or start anew with --force"
        )
    known = isinstance(then.get("data"), dict) and data is not None
    before = parse_stored(then["recipe"])
    if before is None:
        different = _differences(then["recipe"], recipe.model_dump(mode="json"), "")
    elif known:
        different = _differences(without_paths(before), without_paths(recipe), "")
    else:
        there, here = (absolute(one).model_dump(mode="json") for one in (before, recipe))
        different = _differences(there, here, "")
    longer = None
    if before is not None and "train.steps" in different and not {*different} - FREE - {"train.steps"}:
        longer = require_other_length(checkpoint, int(saved["step"]), before, recipe)
        different = []
    if different := sorted({*different} - FREE):
        raise RecipeError(
            f"--resume: {checkpoint} was started with another recipe; {', '.join(different)} differ. "
            "Give the same ones, or choose another --out"
        )
    images = None
    if data is not None:
        images = _require_same_images(f"--resume: {checkpoint}", then, data, other_data=other_data, in_order=True)
    return [text for text in (longer, images) if text is not None]


def require_same_images(
    checkpoint: Path, saved: Mapping[str, Any], data: Data, *, other_data: bool = False
) -> str | None:
    """Make sure that a checkpoint is evaluated on the images that it belongs to, wherever they lie.

    Args:
        checkpoint: its file, for the message.
        saved: its content.
        data: fingerprints of the images at hand.
        other_data: others will do.

    Returns:
        What to warn of: that they are others, or that it is not known.

    Raises:
        DataError: they are others; the message names the parts.
    """
    return _require_same_images(str(checkpoint), _origin(checkpoint, saved), data, other_data=other_data)


def _require_same_images(
    what: str, origin: Mapping[str, Any], data: Data, *, other_data: bool, in_order: bool = False
) -> str | None:
    then = origin.get("data")
    if not isinstance(then, dict):
        return f"{what} does not say which images it was trained on, so these are not compared with them"
    different = differences(then, data)
    if not different:
        return None
    told = "\n".join([f"{what} was trained with other images than these:", *(f"  {line}" for line in different)])
    if not other_data:
        raise DataError(f"{told}\nGive the same ones (they may lie elsewhere); --other-data takes these all the same")
    counts = [[part.get(key, {}).get("images") for key in TRAINED_ON] for part in (then, data)]
    if in_order and counts[0] != counts[1]:
        raise DataError(f"{told}\nA run can go on with other images only if they are as many; start anew with --force")
    return told


def require_same_network(checkpoint: Path, saved: Mapping[str, Any], recipe: Recipe) -> None:
    """Make sure that the weights of a checkpoint belong to the network that ``recipe`` describes.

    Raises:
        RecipeError: they do not; the message names the keys that differ.
    """
    tree = _origin(checkpoint, saved)["recipe"]
    before = parse_stored(tree)
    then = tree.get("model") if before is None else without_paths(before.model)
    different = sorted(_differences(then, without_paths(recipe.model), "model"))
    if different:
        raise RecipeError(f"{checkpoint}: holds another network than its recipe.yaml; {', '.join(different)} differ")


def with_current_paths(checkpoint: Path, saved: Mapping[str, Any], recipe: Recipe) -> Recipe:
    """Return a run's recipe with its paths absolute, followed where the whole project has moved or was copied.

    A path that is gone and lay below the working directory of the training is looked for below the present one.
    """
    home = _origin(checkpoint, saved).get("home")
    recipe = absolute(recipe)
    return relocated(recipe, Path(home)) if isinstance(home, str) else recipe


def _origin(checkpoint: Path, saved: Mapping[str, Any]) -> dict[str, Any]:
    origin: Any = saved.get("origin")
    if not isinstance(origin, dict) or not isinstance(origin.get("recipe"), dict):
        raise DataError(f"{checkpoint}: does not say which recipe wrote it; it is of an older dacn, train anew")
    return {"dacn": "unknown", **origin}


def _differences(a: Any, b: Any, path: str) -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return [key for name in a | b for key in _differences(a.get(name), b.get(name), f"{path}.{name}")]
    return [] if a == b else [path.removeprefix(".")]
