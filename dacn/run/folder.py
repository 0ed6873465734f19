"""What may be done to the folder that a run is written to."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dacn.errors import DacnError, DataError, RecipeError
from dacn.recipe.recipe import Recipe

PROJECTOR = ("tensors.tsv", "metadata.tsv", "sprite.png")
FILES = (
    *("recipe.yaml", "environment.json", "metrics.jsonl", "summary.json"),
    *("checkpoints/*.pt", "checkpoints/*.partial", "tensorboard/events.out.tfevents.*", "figures/*.png"),
    *("tensorboard/projector_config.pbtxt", *(f"tensorboard/*/features/{name}" for name in PROJECTOR)),
)
"""Everything that a run writes, as patterns."""

FREE = {"data.resident_mb", "data.workers"}
"""Keys that change what a run needs and not what it computes: it may go on with other values."""


def claim(out: Path, *, resume: bool, force: bool) -> None:
    """Make sure that a run may be written to ``out``; nothing is changed yet.

    Args:
        out: the run folder, which need not exist.
        resume: the run that is there goes on.
        force: the run that is there may be removed.

    Raises:
        DacnError: a run is there already, or the folder cannot be written.
    """
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        why = "cannot be written to" if existing.is_dir() else "is a file"
        raise DacnError(f"--out {out}: {existing} {why}; choose another folder")
    if resume or force:
        return
    if (out / "summary.json").exists():
        raise DacnError(
            f"{out}: already holds a finished run; choose another --out, --resume to go on with it, "
            "or --force to overwrite it"
        )
    if (out / "checkpoints" / "last.pt").exists():
        raise DacnError(
            f"{out}: holds an unfinished run; --resume goes on with it, --force overwrites it, or choose another --out"
        )


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep ``out``, an existing folder, for this process alone; a process that dies leaves no lock behind.

    Raises:
        DacnError: another process has it.
    """
    lock = FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DacnError(
            f"{out}: another dacn is writing to this folder; wait for it, stop it, or choose another --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


def origin_of(recipe: Recipe) -> dict[str, Any]:
    """Return what a checkpoint says of where it comes from: the version of dacn and the recipe."""
    return {"dacn": version("dacn"), "recipe": recipe.model_dump(mode="json")}


def require_same_origin(checkpoint: Path, saved: Mapping[str, Any], recipe: Recipe) -> None:
    """Make sure that the run of a checkpoint can go on with this very recipe and this version.

    Args:
        checkpoint: its file, for the message.
        saved: its content.
        recipe: what would go on.

    Raises:
        RecipeError: it cannot; the message names the versions or the keys that differ.
    """
    then, now = _origin(checkpoint, saved), origin_of(recipe)
    if then["dacn"] != now["dacn"]:
        raise RecipeError(
            f"--resume: {checkpoint} was written by dacn {then['dacn']}, and this is {now['dacn']}; "
            "go on with that version, or start anew with --force"
        )
    different = sorted({*_differences(then["recipe"], now["recipe"], "")} - FREE)
    if different:
        raise RecipeError(
            f"--resume: {checkpoint} was started with another recipe; {', '.join(different)} differ. "
            "Give the same ones, or choose another --out"
        )


def require_same_network(checkpoint: Path, saved: Mapping[str, Any], recipe: Recipe) -> None:
    """Make sure that the weights of a checkpoint belong to the network that ``recipe`` describes.

    Raises:
        RecipeError: they do not; the message names the keys that differ.
    """
    then = _origin(checkpoint, saved)["recipe"].get("model")
    different = sorted(_differences(then, recipe.model_dump(mode="json")["model"], "model"))
    if different:
        raise RecipeError(f"{checkpoint}: holds another network than its recipe.yaml; {', '.join(different)} differ")


def _origin(checkpoint: Path, saved: Mapping[str, Any]) -> dict[str, Any]:
    origin: Any = saved.get("origin")
    if not isinstance(origin, dict) or not isinstance(origin.get("recipe"), dict):
        raise DataError(f"{checkpoint}: does not say which recipe wrote it; it is of an older dacn, train anew")
    return {"dacn": "unknown", **origin}


def _differences(a: Any, b: Any, path: str) -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return [key for name in a | b for key in _differences(a.get(name), b.get(name), f"{path}.{name}")]
    return [] if a == b else [path.removeprefix(".")]


def clear(out: Path) -> None:
    """Remove the run in ``out``; files that no run writes stay."""
    folders = {out / Path(pattern).parent for pattern in FILES if "*/" not in pattern} - {out}
    for file in [file for pattern in FILES for file in out.glob(pattern)]:
        file.unlink()
        folders |= set(file.parents) - set(out.parents) - {out}
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
