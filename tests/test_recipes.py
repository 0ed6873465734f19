"""Every recipe that ships: it loads, says what it is, and trains two steps on made-up data."""

import json
from pathlib import Path

import pytest

from dacn.recipe.recipe import load_recipe
from dacn.run.run import train_recipe
from tests import made_up

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
QUICK = ("train.steps=2", "train.source_batch=4", "train.target_ratio=2", "evaluate.every=2")


def test_there_are_recipes() -> None:
    assert {path.stem for path in RECIPES} >= {
        "digits_acn",
        "digits_source_only",
        "mnist_svhn_acn",
        "mnist_svhn_acn_small",
        "mnist_usps_acn",
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_trains_two_steps(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path, QUICK)
    pair = made_up.pair(classes=10, size=32, count=40)
    summary = train_recipe(recipe, out=tmp_path, device="cpu", pair=pair)
    assert summary["recipe"] == path.stem
    assert summary["steps"] == 2
    assert summary["target"]["last"] is not None
    assert json.loads((tmp_path / "summary.json").read_text())["label_free"]["mutual_information"] >= 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_header_gives_the_command(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"dacn train recipes/{path.name}" in line for line in header)
