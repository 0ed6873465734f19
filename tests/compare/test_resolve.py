"""What a grid's recipes leave open is decided once, and kept."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from dacn.compare.grid import Cell, make_cells
from dacn.compare.resolve import RESOLVED, resolve, to_json
from dacn.report.runs import GRID
from dacn.run.length import Pace

TREE = {
    "data": {"pair": "digits"},
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"minutes": 1, "source_batch": 4, "target_ratio": 1},
}


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Two norms, the second half as fast, and two seeds of each."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TREE))
    paces = {"bn": Pace(0.05, 0.0), "cn": Pace(0.1, 0.0)}
    monkeypatch.setattr("dacn.run.length.measure_pace", lambda recipe, *_: paces[recipe.model.norm.name])
    return make_cells(tmp_path / "tiny.yaml", ["model.norm=bn,cn"], [0, 1])


def decide(cells: list[Cell], out: Path, force: bool = False) -> list[int | None]:
    return [cell.recipe.train.steps for cell in resolve(cells, out, device="cpu", threads=1, force=force)]


def test_all_runs_are_as_long_as_the_slowest_allows(cells: list[Cell], tmp_path: Path) -> None:
    assert decide(cells, tmp_path) == [570] * 4
    resolved = resolve(cells, tmp_path, device="cpu", threads=1, force=False)
    assert {(cell.recipe.train.minutes, cell.recipe.data.image_size) for cell in resolved if cell.recipe.data} == {
        (None, 32)
    }
    short = cells[0].recipe.model_copy(update={"train": cells[0].recipe.train.lasting(9)})
    assert decide([replace(cells[0], recipe=short), *cells[2:]], tmp_path) == [9, 570, 570], (
        "what the recipe says stays"
    )


def test_the_same_grid_goes_on_with_what_was_decided(
    cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = resolve(cells, tmp_path, device="cpu", threads=1, force=False)
    (tmp_path / GRID).write_text(json.dumps({"cells": [], RESOLVED: to_json(resolved)}))
    monkeypatch.setattr("dacn.run.length.measure_pace", lambda *_: Pace(1.0, 0.0))
    assert decide(cells, tmp_path) == [570] * 4
    assert decide(cells, tmp_path, force=True) == [57] * 4
