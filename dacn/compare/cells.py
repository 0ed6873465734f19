"""What is left to do of a grid, and whether all of it can be done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dacn.compare.grid import Cell
from dacn.data.pair.pairs import build_pair
from dacn.errors import DacnError, RecipeError
from dacn.recipe.yaml import parse_yaml
from dacn.run.build import build_algorithm
from dacn.run.folder import claim


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
        claim(folder, resume=True, force=force)
        if force:
            left.append(cell)
            continue
        finished = (folder / "summary.json").is_file()
        if finished or (folder / "checkpoints" / "last.pt").exists():
            _require_same(folder, cell)
        if not finished:
            left.append(cell)
    return left


def check(cells: Sequence[Cell]) -> None:
    """Build the data and the network of every cell, once for all of its seeds, so that none fails late by a mistake.

    Raises:
        DacnError: a mistake; the message names the cell.
    """
    first = {cell.recipe.model_copy(update={"seed": 0}).to_yaml(): cell for cell in reversed(cells)}
    by_data: dict[str, list[Cell]] = {}
    for cell in first.values():
        by_data.setdefault(str(cell.recipe.data), []).append(cell)
    for group in by_data.values():
        cell = group[0]
        try:
            assert cell.recipe.data is not None  # a recipe from a file names its images
            pair = build_pair(cell.recipe.data)  # one at a time in memory
            for cell in group:
                build_algorithm(cell.recipe, pair)
        except DacnError as error:
            raise type(error)(f"{cell.name}: {error}") from error


def _require_same(folder: Path, cell: Cell) -> None:
    """Make sure that the run in ``folder`` is the cell's own."""
    file = folder / "recipe.yaml"
    there: Any = parse_yaml(file.read_bytes(), str(file)) if file.is_file() else None
    if there != parse_yaml(cell.recipe.to_yaml(), cell.name):
        raise RecipeError(
            f"{folder}: holds a run of another recipe than this comparison's; choose another --out, or --force to "
            "train every run anew"
        )
