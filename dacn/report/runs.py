"""Finished runs, as they lie in their folders."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dacn.errors import DataError, RecipeError, did_you_mean
from dacn.recipe.yaml import parse_yaml


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        folder: where it lies.
        summary: the content of its summary.json.
        recipe: its resolved recipe, as plain values; unchecked, for an older dacn may have run it.
    """

    folder: Path
    summary: dict[str, Any]
    recipe: dict[str, Any]

    def number(self, *keys: str) -> float | None:
        """Return a number of the summary by its path of keys; None where it is null or absent."""
        value: Any = self.summary
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if is_number else None

    @property
    def name(self) -> str:
        """What its recipe is called."""
        return str(self.recipe.get("name", self.summary.get("recipe", self.folder.name)))

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.recipe.get("seed", 0))

    @cached_property
    def without_seed(self) -> dict[str, Any]:
        """Its recipe without the seed: what runs of one row share."""
        return {key: value for key, value in self.recipe.items() if key != "seed"}


def find_runs(paths: Iterable[Path]) -> tuple[list[Run], list[Path]]:
    """Return the finished runs in ``paths``, and the folders of the unfinished ones.

    Args:
        paths: run folders, or folders that hold some at any depth.

    Raises:
        DataError: a path that holds no run, or a file of a run that is damaged.
    """
    folders = list(dict.fromkeys(folder for path in paths for folder in _run_folders(path)))
    finished = [folder for folder in folders if (folder / "summary.json").is_file()]
    return [read_run(folder) for folder in finished], [folder for folder in folders if folder not in finished]


def read_run(folder: Path) -> Run:
    """Return the finished run in ``folder``.

    Raises:
        DataError: its summary or recipe is damaged.
    """
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        recipe = parse_yaml((folder / "recipe.yaml").read_bytes(), str(folder / "recipe.yaml"))
    except (OSError, ValueError, RecursionError, RecipeError) as error:
        raise DataError(f"{folder}: the run cannot be read ({error}); train it again, or leave it out") from error
    for name, content in (("summary.json", summary), ("recipe.yaml", recipe)):
        if not isinstance(content, dict):
            raise DataError(f"{folder / name}: damaged, it holds no keys; train the run again, or leave it out")
    if not isinstance(recipe.get("seed", 0), int):
        raise DataError(f"{folder / 'recipe.yaml'}: seed: got {recipe['seed']!r}, expected a whole number")
    return Run(folder, summary, recipe)


def _run_folders(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        known = [entry.name for entry in path.parent.iterdir() if entry.is_dir()] if path.parent.is_dir() else []
        what = "is a file" if path.exists() else f"no such folder{did_you_mean(path.name, known)}"
        raise DataError(f"{path}: {what}; give a run's folder, or one of runs")
    if (path / "recipe.yaml").is_file():
        yield path
        return
    below = sorted((file.parent for file in path.rglob("recipe.yaml")), key=_by_numbers)
    if not below:
        raise DataError(f"{path}: holds no run; a run is a folder with a recipe.yaml, and `dacn train` writes one")
    yield from below


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Sort seed10 after seed9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
