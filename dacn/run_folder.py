"""What may be done to the folder that a run is written to."""

import os
from pathlib import Path
from typing import Any

from dacn.errors import DacnError, RecipeError
from dacn.recipe import Recipe, load_recipe

FILES = (
    *("recipe.yaml", "environment.json", "metrics.jsonl", "summary.json"),
    *("checkpoints/*.pt", "checkpoints/*.partial", "tensorboard/events.out.tfevents.*", "figures/*.png"),
)
"""Everything that a run writes, as patterns."""


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


def require_same_recipe(out: Path, recipe: Recipe) -> None:
    """Make sure that the run in ``out`` was started with this very recipe.

    Raises:
        RecipeError: it was not; the message names the keys that differ.
    """
    before, now = load_recipe(out / "recipe.yaml").model_dump(mode="json"), recipe.model_dump(mode="json")
    different = sorted(_differences(before, now, ""))
    if different:
        raise RecipeError(
            f"--resume: {out} was started with another recipe; {', '.join(different)} differ. "
            "Give the same ones, or choose another --out"
        )


def _differences(a: Any, b: Any, path: str) -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return [key for name in a | b for key in _differences(a.get(name), b.get(name), f"{path}.{name}")]
    return [] if a == b else [path.removeprefix(".")]


def clear(out: Path) -> None:
    """Remove the run in ``out``; files that no run writes stay."""
    for pattern in FILES:
        for file in out.glob(pattern):
            file.unlink()
    for folder in {out / Path(pattern).parent for pattern in FILES} - {out}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
