"""What is left of a comparison, when its finished runs lie there and the images have moved or changed since."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dacn.compare.cells import check, unfinished
from dacn.compare.grid import Cell, make_cells
from dacn.data.fingerprint import fingerprints
from dacn.data.pair.pairs import build_pair
from dacn.errors import RecipeError
from dacn.recipe.paths import absolute

RECIPE = """
data: {source: {folder: src}, target: {folder: tgt}, image_size: 16}
model: {backbone: {name: small_cnn, width: 4}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in ("src/a", "src/b", "tgt"):
        (tmp_path / name).mkdir(parents=True)
        for index in range(2):
            image = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / name / f"{index}.png")
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path


def cells(*overrides: str) -> list[Cell]:
    made = make_cells(Path("r.yaml"), [], [0, 1], overrides)
    return [replace(cell, recipe=absolute(cell.recipe)) for cell in made]


def finish(cell: Cell, *, knows: bool = True) -> None:
    """Leave what a finished run leaves."""
    folder = Path("out") / cell.name
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(cell.recipe.to_yaml())
    assert cell.recipe.data is not None
    data = fingerprints(build_pair(cell.recipe.data)) if knows else None
    (folder / "summary.json").write_text(json.dumps({"data": data}))


def look(now: list[Cell]) -> list[str]:
    """Return the names of the cells that are left, once all is checked."""
    left = unfinished(now, Path("out"), force=False)
    check(left, finished=[cell for cell in now if cell not in left], out=Path("out"))
    return [cell.name for cell in left]


def test_the_rest_is_trained_on_the_same_images(home: Path) -> None:
    finish(cells()[0])
    assert look(cells()) == ["seed1"]
    shutil.copy("src/a/0.png", "src/b/more.png")
    with pytest.raises(RecipeError) as error:
        look(cells())
    assert str(error.value) == (
        "out/seed0: was trained with other images than the comparison's now:\n  source: 4 images then, 5 now\n"
        "Choose another --out, or --force to train every run anew"
    )


def test_images_that_have_moved(home: Path) -> None:
    for cell in cells():
        finish(cell)
    assert look(cells()) == []
    shutil.move("tgt", "elsewhere")
    assert look(cells("data.target.folder=elsewhere")) == []
    shutil.copy("elsewhere/0.png", "elsewhere/1.png")
    with pytest.raises(RecipeError, match="target: 2 images as then, but not the same ones"):
        look(cells("data.target.folder=elsewhere"))


def test_a_run_that_does_not_know_its_images_must_find_them_where_they_lay(home: Path) -> None:
    finish(cells()[0], knows=False)
    assert look(cells()) == ["seed1"]
    shutil.move("tgt", "elsewhere")
    with pytest.raises(RecipeError, match="out/seed0: holds a run of another recipe than this comparison's"):
        look(cells("data.target.folder=elsewhere"))


def test_another_recipe_is_refused(home: Path) -> None:
    finish(cells()[0])
    with pytest.raises(RecipeError, match="out/seed0: holds a run of another recipe"):
        look(cells("optimizer.lr=0.5"))
