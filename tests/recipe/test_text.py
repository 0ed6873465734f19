"""What stands unquoted in a recipe is text where text is expected, to the letter, and a number where a number is."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dacn.compare.grid import make_cells
from dacn.data.pair.contexts import SuperclassContext
from dacn.errors import RecipeError
from dacn.recipe.recipe import Recipe, load_recipe
from dacn.recipe.yaml import Written, parse_written, parse_yaml, to_yaml

WORDS = [
    *("010", "001", "08", "8", "-1", "+1", "1_000", "0x10", "0b11", "0o17"),
    *("1e3", "1E3", "1.0", "1.50", ".5", "6.", "-.5", ".inf", ".nan", "190:20:30", "1:30"),
    *("yes", "no", "on", "off", "Yes", "NO", "true", "True", "false", "FALSE", "y", "n"),
    *("2024-01-01", "2024-01-01T10:00:00Z", "=", "<<", "٣"),
]
"""Each is a number, a truth value, a date or a special word to some reader of YAML."""

NULLS = ["null", "Null", "~"]


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    def load(data: str, *overrides: str) -> Recipe:
        path = tmp_path / "r.yaml"
        path.write_text(f"data: {data}\n", encoding="utf-8")
        return load_recipe(path, overrides)

    return load


def part(recipe: Recipe) -> Any:
    return recipe.data


@pytest.mark.parametrize("word", WORDS)
def test_every_key_that_holds_text(recipe: Any, tmp_path: Path, word: str) -> None:
    loaded = recipe(
        f"{{source: {{folder: {word}, class_map: {{{word}: {word}}}}}, target: {{torchvision: {word}, split: {word}}}, "
        f"class_map: {{a: {word}, {word}: b}}, classes: [{word}, x{word}], "
        f"context: {{name: superclass, groups: {{{word}: [{word}], o: [a, {word}x]}}}}}}\nname: {word}"
    )
    data = part(loaded)
    assert loaded.name == word
    assert (data.source.folder, data.source.class_map) == (Path(word), {word: word})
    assert (data.target.torchvision, data.target.split) == (word, word)
    assert (data.class_map, data.classes) == ({"a": word, word: "b"}, (word, f"x{word}"))
    assert data.context == SuperclassContext(groups={word: (word,), "o": ("a", f"{word}x")})
    again = tmp_path / "again.yaml"
    again.write_text(loaded.to_yaml())
    assert load_recipe(again) == loaded
    assert Recipe.model_validate(yaml.safe_load(loaded.to_yaml())) == loaded  # to any reader of YAML
    assert Recipe.model_validate(parse_yaml(loaded.to_yaml(), "x")) == loaded


@pytest.mark.parametrize("word", WORDS)
def test_through_set_and_vary(recipe: Any, tmp_path: Path, word: str) -> None:
    sets = [f"name={word}", f"data.classes=[{word}, a]", f"data.class_map={{{word}: {word}}}", f"data.root={word}"]
    loaded = recipe("{pair: digits}", *sets, f"data.class_map.b={word}")
    assert (loaded.name, part(loaded).classes, part(loaded).root) == (word, (word, "a"), Path(word))
    assert part(loaded).class_map == {word: word, "b": word}
    cells = make_cells(tmp_path / "r.yaml", [f"data.target.folder={word},other"], [])
    assert [part(cell.recipe).target.folder for cell in cells] == [Path(word), Path("other")]


@pytest.mark.parametrize("word", NULLS)
def test_null_is_text_only_where_nothing_cannot_stand(recipe: Any, word: str) -> None:
    data = part(recipe(f"{{pair: digits, classes: [{word}, a], class_map: {{{word}: {word}, b: '{word}'}}}}"))
    assert data.classes == (word, "a")
    assert data.class_map == {word: None, "b": word}  # null leaves a class out


def test_an_empty_place_is_no_text(recipe: Any) -> None:
    with pytest.raises(RecipeError, match="name: got null, expected text"):
        recipe("{pair: digits}", "name=")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("train.steps", "010", 10),
        ("train.steps", "08", 8),
        ("train.steps", "1_000", 1000),
        ("train.steps", "0x10", 16),
        ("train.steps", "0b11", 3),
        ("train.steps", "1e3", 1000),
        ("seed", "+7", 7),
        ("optimizer.lr", "1e-3", 0.001),
        ("optimizer.lr", "00.5", 0.5),
        ("optimizer.lr", ".5e-1", 0.05),
        ("optimizer.lr", "1", 1.0),
        ("train.compile", "no", False),
        ("train.compile", "on", True),
        ("train.compile", "auto", "auto"),
        ("data.flips", "yes", True),
        ("data.flips", "~", None),
        ("evaluate.every", "null", None),
        ("evaluate.milestones", "[1e1, 020]", (10.0, 20.0)),
    ],
)
def test_numbers_truth_values_and_null_where_they_are_expected(recipe: Any, key: str, text: str, value: Any) -> None:
    found: Any = recipe("{pair: digits}", f"{key}={text}")
    for name in key.split("."):
        found = getattr(found, name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.steps=yes", "train.steps: got 'yes', expected a whole number"),
        ("seed=on", "seed: got 'on', expected a whole number"),
        ("optimizer.lr=off", "optimizer.lr: got 'off', expected a number"),
        ("train.steps=1:30", "train.steps: got '1:30', expected a whole number"),
        ("train.steps=0o17", "train.steps: got '0o17', expected a whole number"),
        ("train.steps=2024-01-01", "train.steps: got '2024-01-01', expected a whole number"),
        ("train.ema=~", "train.ema: got null, expected a number"),
        ("model.norm=no", "got 'no', expected 'none'"),
        ("evaluate.select=null", "got null, expected one of"),
    ],
)
def test_no_number_that_is_not_written(recipe: Any, override: str, told: str) -> None:
    with pytest.raises(RecipeError) as error:
        recipe("{pair: digits}", override)
    assert told in str(error.value)


def test_a_config_of_a_choice_is_read_by_its_own_keys(recipe: Any) -> None:
    data = part(recipe("{pair: digits, context: {name: file, path: 010}}"))
    assert data.context.path == Path("010")
    assert part(recipe("{pair: digits, context: {name: random, count: 010}}")).context.count == 10


def test_written_keeps_both() -> None:
    assert parse_written("[a, 'b', 010, no]", "x") == ["a", "b", Written("010", 10), Written("no", False)]
    assert to_yaml({"a": ["08", "no", "1e3", "x"]}) == "a:\n- '08'\n- 'no'\n- '1e3'\n- x\n"
