"""Reads finished runs from their folders."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from dacn.errors import DataError, RecipeError, did_you_mean
from dacn.recipe.paths import tree_without_paths
from dacn.recipe.yaml import parse_yaml

GRID = "grid.json"
"""In the folder of a comparison: its runs in the order in which they were asked for, as ``cells``."""

_DECIDE_TESTS = ("pair", "dataset", "root", "target_test", "test_fraction", "test_seed", "class_map", "classes")


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

    @property
    def data(self) -> dict[str, Any] | None:
        """Fingerprints of the images it saw, by part; None where an older dacn did not write them down."""
        data = self.summary.get("data")
        return data if isinstance(data, dict) and data else None

    @cached_property
    def row_key(self) -> str:
        """What runs of one row share: the recipe but for the seed, and the images.

        Where the images lay does not count, if it is known which they were; if not, only that tells them apart.
        """
        recipe = {key: value for key, value in self.recipe.items() if key != "seed"}
        if self.data is not None:
            recipe = tree_without_paths(recipe)
        return json.dumps([recipe, self.data], sort_keys=True, default=str)

    @cached_property
    def measured_on(self) -> str:
        """Which images its target accuracy was measured on; without a fingerprint, what the recipe says of them."""
        if self.data is not None:
            return json.dumps(self.data.get("target_test"), sort_keys=True)
        data = self.recipe.get("data")
        if not isinstance(data, dict):
            return json.dumps(["made in Python", self.name])
        told = {key: data.get(key) for key in _DECIDE_TESTS}
        return json.dumps([told, None if told["target_test"] else data.get("target")], sort_keys=True, default=str)


def find_runs(paths: Iterable[Path]) -> tuple[list[Run], list[Path]]:
    """Return the finished runs in ``paths``, and the folders of the unfinished ones.

    Args:
        paths: run folders, or folders that hold some at any depth: those of a comparison in the order in which it was
            asked for, others by name.

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
    grids = {file.parent: _cells(file) for file in (*path.parent.glob(GRID), *path.rglob(GRID))}
    below = sorted((file.parent for file in path.rglob("recipe.yaml")), key=partial(_place, grids))
    if not below:
        raise DataError(f"{path}: holds no run; a run is a folder with a recipe.yaml, and `dacn train` writes one")
    yield from below


def _cells(file: Path) -> list[str]:
    """Return the runs of a comparison in its order; none where its file is damaged: it only orders."""
    try:
        return [str(name) for name in json.loads(file.read_text(encoding="utf-8"))["cells"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _place(grids: Mapping[Path, Sequence[str]], folder: Path) -> tuple[list[tuple[int, str]], int]:
    """Sort a run at its place within its comparison, if it is of one, and else by name."""
    for home, cells in grids.items():
        if folder.is_relative_to(home) and (name := folder.relative_to(home).as_posix()) in cells:
            return _by_numbers(home), cells.index(name)
    return _by_numbers(folder), 0


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Sort seed10 after seed9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
