import itertools
from pathlib import Path
from typing import Any

import pytest

from dacn.compare.grid import make_cells, split_values
from dacn.errors import RecipeError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "trial.yaml"
    file.write_text("{data: {pair: digits}, seed: 3, train: {steps: 10}}")
    return file


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("bn,cn,{name: acn, eta: 0.05}", ["bn", "cn", "{name: acn, eta: 0.05}"]),
        ("[1, [2, 3]], {a: [4, 5], b: {c: 6}}", ["[1, [2, 3]]", "{a: [4, 5], b: {c: 6}}"]),
        ("'a,b', \"c,[\"", ["'a,b'", '"c,["']),
        ("{npz: 'a,}b'},x", ["{npz: 'a,}b'}", "x"]),
        ("it's,fine", ["it's", "fine"]),
        ("one", ["one"]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_lists_are_split_at_the_outer_commas_only(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_all_combinations_with_all_seeds_in_order(path: Path) -> None:
    vary = ["model.norm=bn,{name: acn, eta: 0.05}", "train.ema=0.9,0.99"]
    cells = make_cells(path, vary, [0, 1], ["train.steps=7"])
    grid = itertools.product(("bn", "acn-eta-0.05"), ("0.9", "0.99"), (0, 1))
    assert [cell.name for cell in cells] == [f"norm={norm}_ema={ema}/seed{seed}" for norm, ema, seed in grid]
    last: Any = cells[-1].recipe
    assert (last.model.norm.eta, last.train.ema, last.train.steps, last.seed, last.name) == (0.05, 0.99, 7, 1, "trial")


def test_without_seeds_the_recipes_own_and_without_keys_seeds_alone(path: Path) -> None:
    assert [cell.name for cell in make_cells(path, ["train.ema=0.9,0.5"], [])] == ["ema=0.9/seed3", "ema=0.5/seed3"]
    assert [cell.name for cell in make_cells(path, [], [0, 1])] == ["seed0", "seed1"]


def test_folder_names_are_readable_short_and_different(path: Path) -> None:
    names = [c.name for c in make_cells(path, ["model.input_norm=none,bn", "model.norm.name=bn,cn"], [])]
    assert names[0] == "input_norm=none_norm.name=bn/seed3"
    alike = ["data={source: {folder: a/b}, target: {folder: c}},{source: {folder: a b}, target: {folder: c}}"]
    first, second = (cell.name for cell in make_cells(path, alike, []))
    assert first != second
    assert first.startswith("data=source-folder-a-b-target-folder-c-")
    assert make_cells(path, alike, [])[0].name == first  # the same whenever it is asked for
    long = [f"data={{source: {{folder: {'a' * 300}}}, target: {{folder: c}}}}"]
    assert len(make_cells(path, long, [])[0].name) < 100


@pytest.mark.parametrize(
    ("vary", "seeds", "message"),
    [
        (["model.norm"], [], r"--vary 'model.norm': expected --vary key.path=a,b,c"),
        (["model.norm=bn,,cn"], [], "an empty value is written null or ''"),
        (["model.norm=bn", "model.norm=cn"], [], "--vary model.norm: given twice; put all of its values into one"),
        (["seed=0,1"], [], "seeds are given by --seeds 0,1, and make one row"),
        ([], [1, 2, 1], "--seeds 1,2,1: a seed stands there twice"),
        (["train.ema=0.9,0.90"], [], "ema=0.9/seed3 and ema=0.90/seed3 are the same run; drop one of the two values"),
        (["model.norm=bn,{name: acn"], [], r"--vary model.norm: '\{name: acn'"),
    ],
)
def test_mistakes(path: Path, vary: list[str], seeds: list[int], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_cells(path, vary, seeds)


LADDER = "source_only,dann,cdan,mcc,coral,mmd,fixmatch,adamatch,self_ensembling"


def test_a_ladder_of_methods_has_each_with_its_own_defaults_and_all_else_alike(path: Path) -> None:
    path.write_text("{data: {pair: digits}, algorithm: {name: adamatch, threshold: 0.5}, train: {steps: 10}}")
    cells = make_cells(path, [f"algorithm={LADDER}"], [])
    assert [cell.recipe.algorithm.name for cell in cells] == LADDER.split(",")
    for cell in cells:
        assert cell.recipe.algorithm == type(cell.recipe.algorithm)()
        assert cell.recipe.model_copy(update={"algorithm": None}) == cells[0].recipe.model_copy(
            update={"algorithm": None}
        )


@pytest.mark.parametrize(
    ("vary", "overrides", "message"),
    [
        (["algorithm=dann,adamatch"], ["algorithm.threshold=0.8"],
         r"--set algorithm.threshold: --vary algorithm replaces all of algorithm and would drop it; put it into the "
         r"values, --vary 'algorithm=\{name: ..., threshold: ...\}'"),
        (["model.norm=bn,cn"], ["model.norm=acn"], "--set model.norm: --vary model.norm replaces"),
        (["optimizer.lr=0.1,0.2", "optimizer=sgd,adamw"], [], "--vary optimizer.lr: --vary optimizer replaces"),
    ],
)  # fmt: skip
def test_what_a_varied_key_would_drop_is_refused(path: Path, vary: Any, overrides: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_cells(path, vary, [], overrides)
    assert len(make_cells(path, ["optimizer=sgd,adamw", "optimizer.lr=0.1,0.2"], [])) == 4


def test_every_cell_that_does_not_hold_is_told(path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        make_cells(path, ["model.norm=bn,bm,cnn", "train.steps=5,6"], [0, 1])
    text = str(error.value)
    assert text.count("model.norm.name: got 'bm'") == 2
    assert "model.norm=cnn train.steps=6: " in text
    assert "did you mean 'cn'?" in text
    assert "model.norm=bn " not in text
