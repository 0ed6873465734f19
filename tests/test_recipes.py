"""Every recipe that ships: it loads, says what it is, and trains two steps on made-up data."""

import json
from pathlib import Path

import pytest

from dacn.recipe.recipe import load_recipe
from dacn.run.run import train_recipe
from tests import made_up

FOLDER = Path(__file__).parents[1] / "recipes"
PHOTOGRAPHS = sorted((FOLDER / "photographs").glob("*.yaml"))
RECIPES = sorted(FOLDER.glob("*.yaml"))
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
    train_two_steps(path, tmp_path, QUICK)


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_recipe_of_photographs_trains_two_steps_of_a_small_network(path: Path, tmp_path: Path) -> None:
    whole = load_recipe(path)  # its own network is that of a library, and known to it
    assert whole.data is not None
    assert whole.data.resize_size is None or whole.data.crop == whole.data.image_size
    small = ("model.backbone={name: small_cnn, width: 4}", "optimizer.freeze=[]")
    train_two_steps(path, tmp_path, (*QUICK, *small))


def train_two_steps(path: Path, tmp_path: Path, changes: tuple[str, ...]) -> None:
    recipe = load_recipe(path, changes)
    pair = made_up.pair(classes=10, size=32, count=40)
    summary = train_recipe(recipe, out=tmp_path, device="cpu", pair=pair)
    assert summary["recipe"] == path.stem
    assert summary["steps"] == 2
    assert summary["target"]["last"] is not None
    assert json.loads((tmp_path / "summary.json").read_text())["label_free"]["mutual_information"] >= 0


@pytest.mark.parametrize("path", [*RECIPES, *PHOTOGRAPHS], ids=lambda path: path.stem)
def test_recipe_header_gives_the_command(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"dacn train recipes/{path.relative_to(FOLDER)}" in line for line in header)


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_what_was_not_measured_says_so(path: Path) -> None:
    assert "not measured" in path.read_text()
