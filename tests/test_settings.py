"""Methods in all of their settings, through whole runs: semi-supervised, several sources, few target labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dacn.data.pair.pairs import build_pair
from dacn.errors import RecipeError
from dacn.recipe.recipe import Recipe, parse_recipe
from dacn.run.evaluation import evaluate_run
from dacn.run.run import train_recipe
from tests import made_up

TREE: dict[str, Any] = {
    "name": "tiny",
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 3, "source_batch": 4, "target_ratio": 2},
    "evaluate": {"every": 3},
}


def write(folder: Path, name: str, *, seed: int, tint: int) -> str:
    domain = made_up.domain(name, 20, seed=seed, tint=tint)
    assert domain.labels is not None
    file = folder / f"{name}.npz"
    np.savez(file, images=domain.images.permute(0, 2, 3, 1).numpy(), labels=domain.labels.numpy())
    return str(file)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, dict[str, str]]:
    names = ("reds", "greens", "blues", "blues_test")
    return {name: {"npz": write(tmp_path, name, seed=i, tint=min(i, 2))} for i, name in enumerate(names)}


def settings(files: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    target = {"target": files["blues"], "target_test": files["blues_test"], "image_size": 16}
    return {
        "unsupervised": target | {"source": files["reds"]},
        "several sources": target | {"source": [files["reds"], files["greens"]]},
        "few target labels": target | {"source": files["reds"], "target_labels_per_class": 1},
        "semi-supervised": {
            "dataset": files["blues"], "labels": 4, "target_test": files["blues_test"], "image_size": 16
        },
    }  # fmt: skip


CONTEXTS = {"unsupervised": 2, "several sources": 3, "few target labels": 2, "semi-supervised": 1}


@pytest.mark.parametrize("setting", CONTEXTS)
@pytest.mark.parametrize(("algorithm", "norm"), [("adamatch", "acn"), ("adamatch", "bn"), ("fixmatch", "acn")])
def test_setting_trains_and_evaluates(files: Any, tmp_path: Path, setting: str, algorithm: str, norm: str) -> None:
    model = TREE["model"] | {"norm": norm}
    tree = TREE | {"data": settings(files)[setting], "algorithm": algorithm, "model": model}
    recipe: Recipe = parse_recipe(tree, "test")
    assert recipe.data is not None
    assert build_pair(recipe.data).num_contexts == CONTEXTS[setting]
    summary = train_recipe(recipe, out=tmp_path / "run", device="cpu")
    assert summary["target"]["last"] is not None
    assert summary["matrix"]["target_data/target_context"] is not None
    assert evaluate_run(tmp_path / "run", "last", "cpu")["target"] == summary["target"]["last"]


def test_dann_within_one_data_set_is_refused(files: Any, tmp_path: Path) -> None:
    tree = TREE | {"data": settings(files)["semi-supervised"], "algorithm": "dann"}
    with pytest.raises(RecipeError, match=r"algorithm\.name: dann works between two domains, and blues is one"):
        train_recipe(parse_recipe(tree, "test"), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["unsupervised", "several sources", "few target labels"])
def test_dann_trains_where_there_are_two_domains(files: Any, tmp_path: Path, setting: str) -> None:
    tree = TREE | {"data": settings(files)[setting], "algorithm": "dann"}
    summary = train_recipe(parse_recipe(tree, "test"), out=tmp_path / "run", device="cpu")
    assert summary["target"]["last"] is not None
