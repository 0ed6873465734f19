"""Finds the runs of a grid that are still to be trained, and checks that each of them can start."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dacn.compare.grid import Cell
from dacn.data.fingerprint import differences, fingerprints
from dacn.data.pair.pairs import build_pair
from dacn.errors import DacnError, RecipeError
from dacn.recipe.paths import absolute, paths_in, tree_without_paths
from dacn.recipe.recipe import load_recipe
from dacn.recipe.yaml import parse_yaml
from dacn.report.runs import read_run
from dacn.run.build import build_algorithm
from dacn.run.folder import require_free
from dacn.run.origin import Data


def unfinished(cells: Sequence[Cell], out: Path, *, force: bool) -> list[Cell]:
    """Return the cells that must still be trained: all but those that finished with the very same recipe.

    Args:
        cells: the whole grid.
        out: folder of the comparison.
        force: train every cell anew.

    Raises:
        DacnError: a cell's folder holds a run of another recipe, or cannot be written to.
    """
    left = []
    for cell in cells:
        folder = out / cell.name
        require_free(folder, resume=True, force=force)
        if force:
            left.append(cell)
            continue
        finished = (folder / "summary.json").is_file()
        if finished or (folder / "checkpoints" / "last.pt").exists():
            _require_same(folder, cell)
        if not finished:
            left.append(cell)
    return left


def check(cells: Sequence[Cell], finished: Sequence[Cell] = (), out: Path = Path()) -> None:
    """Build the data and the network of every cell, once for all of its seeds, so that none fails late by a mistake.

    Args:
        cells: what is still to be trained.
        finished: what is not; where the images are read anyway, or have moved, they must be those of these runs.
        out: folder of the comparison, where the finished ones are.

    Raises:
        DacnError: a mistake; the message names the cell.
    """
    first = {cell.recipe.model_copy(update={"seed": 0}).to_yaml(): cell for cell in reversed(cells)}
    by_data: dict[str, list[Cell]] = {}
    for cell in first.values():
        by_data.setdefault(str(cell.recipe.data), []).append(cell)
    for cell in finished:
        if _has_moved(out / cell.name, cell):
            by_data.setdefault(str(cell.recipe.data), [])
    for key, group in by_data.items():
        done = [cell for cell in finished if str(cell.recipe.data) == key]
        cell = (group or done)[0]
        try:
            assert cell.recipe.data is not None  # a recipe from a file names its images
            pair = build_pair(cell.recipe.data)  # one at a time in memory
            for cell in group:
                build_algorithm(cell.recipe, pair)
        except DacnError as error:
            raise type(error)(f"{cell.name}: {error}") from error
        if done:
            _require_images(done, out, fingerprints(pair))


def _require_images(finished: Sequence[Cell], out: Path, data: Data) -> None:
    """Make sure that finished runs saw the images that are there now."""
    for cell in finished:
        seen = read_run(out / cell.name).data
        if seen is not None and (different := differences(seen, data)):
            told = "\n".join(f"  {line}" for line in different)
            raise RecipeError(
                f"{out / cell.name}: was trained with other images than the comparison's now:\n{told}\n"
                "Choose another --out, or --force to train every run anew"
            )


def _require_same(folder: Path, cell: Cell) -> None:
    """Make sure that the run in ``folder`` is the cell's own; where its images lay does not count if it knows them."""
    file, summary = folder / "recipe.yaml", folder / "summary.json"
    there: Any = parse_yaml(file.read_bytes(), str(file)) if file.is_file() else None
    knows = not summary.is_file() or read_run(folder).data is not None  # a run that goes on looks for itself
    mine = parse_yaml(cell.recipe.to_yaml(), cell.name)
    if tree_without_paths(there) == tree_without_paths(mine) and (knows or not _has_moved(folder, cell)):
        return
    raise RecipeError(
        f"{folder}: holds a run of another recipe than this comparison's; choose another --out, or --force to "
        "train every run anew"
    )


def _has_moved(folder: Path, cell: Cell) -> bool:
    """Whether the images of a finished run lie elsewhere now."""
    there = load_recipe(folder / "recipe.yaml")
    return [*paths_in(absolute(there))] != [*paths_in(absolute(cell.recipe))]
