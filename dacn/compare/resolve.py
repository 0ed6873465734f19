"""Decides once for a whole grid what its recipes leave open: the number of steps and the size of the images.

Runs that are to be compared have to be equally long: where time limits them, all get as many steps as the slowest of
them does in it.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dacn.compare.grid import Cell
from dacn.data.domain import DomainPair
from dacn.errors import DacnError
from dacn.recipe.recipe import Recipe
from dacn.report.runs import GRID
from dacn.run.build import build_algorithm, pair_of, pick_device, with_image_size
from dacn.run.length import FOLLOWING, as_decided, with_length

RESOLVED = "resolved"
"""Key in the grid's file: what was decided, by the cell's name."""


def resolve(cells: Sequence[Cell], out: Path, *, device: str, threads: int, force: bool) -> list[Cell]:
    """Return the cells with their steps and image size; those that an earlier call decided stay as they were.

    Args:
        cells: the grid.
        out: folder of the comparison.
        device: ``auto``, ``cpu`` or ``cuda``: where a step is measured.
        threads: that each run will have.
        force: decide anew.

    Raises:
        DacnError: a mistake in the data or the network; the message names the cell.
    """
    known = {} if force else _read(out)
    cells = [replace(cell, recipe=_apply(cell.recipe, known.get(cell.name, {}))) for cell in cells]
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _equally_long(cells, pick_device(device))
    finally:
        torch.set_num_threads(threads_before)


def to_json(cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """Return what was decided, as plain values by the cells' names."""
    return {cell.name: _decided(cell.recipe) for cell in cells}


def _decided(recipe: Recipe) -> dict[str, Any]:
    train = {key: getattr(recipe.train, key) for key in ("steps", *FOLLOWING)}
    return {**train, "image_size": None if recipe.data is None else recipe.data.image_size}


def _read(out: Path) -> dict[str, dict[str, Any]]:
    file = out / GRID
    if not file.is_file():
        return {}
    found: Any = json.loads(file.read_text(encoding="utf-8")).get(RESOLVED, {})
    return found if isinstance(found, dict) else {}


def _apply(recipe: Recipe, decided: dict[str, Any]) -> Recipe:
    """Return the recipe with what was decided, as far as it leaves that open."""
    if recipe.train.steps is None and decided.get("steps"):
        recipe = recipe.model_copy(update={"train": as_decided(recipe.train, decided)})
    if recipe.data is not None and recipe.data.image_size is None and decided.get("image_size"):
        data = recipe.data.model_copy(update={"image_size": decided["image_size"]})
        recipe = recipe.model_copy(update={"data": data})
    return recipe


def _is_open(recipe: Recipe) -> bool:
    return recipe.train.steps is None or (recipe.data is not None and recipe.data.image_size is None)


def _equally_long(cells: list[Cell], place: torch.device) -> list[Cell]:
    """Decide what is open; one measurement serves all seeds of a recipe."""
    resolved: dict[str, Recipe] = {}
    data, pair = None, None  # of the cell before: one pair at a time in memory
    for cell in cells:
        if _is_open(cell.recipe) and (key := _without_seed(cell.recipe)) not in resolved:
            try:
                if pair is None or cell.recipe.data != data:
                    data, pair = cell.recipe.data, pair_of(cell.recipe).to(place)
                resolved[key] = _resolved(cell.recipe, pair, place)
            except DacnError as error:
                raise type(error)(f"{cell.name}: {error}") from error
    shortest: dict[float | None, int] = {}  # by the minutes that were asked for
    for cell in cells:
        if cell.recipe.train.steps is None:
            minutes, steps = cell.recipe.train.minutes, resolved[_without_seed(cell.recipe)].train.total_steps
            shortest[minutes] = min(steps, shortest.get(minutes, steps))
    done = []
    for cell in cells:
        decided = _decided(resolved.get(_without_seed(cell.recipe), cell.recipe))
        decided["steps"] = shortest.get(cell.recipe.train.minutes)
        del decided["ema"]  # which follows these steps
        done.append(replace(cell, recipe=_apply(cell.recipe, decided)))
    return done


def _without_seed(recipe: Recipe) -> str:
    return recipe.model_copy(update={"seed": 0}).to_yaml()


def _resolved(recipe: Recipe, pair: DomainPair, place: torch.device) -> Recipe:
    recipe, _ = with_image_size(recipe, pair)
    algorithm = build_algorithm(recipe, pair)
    algorithm.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return with_length(recipe, algorithm, pair)[0]
