"""The recipes that come with dacn: what their headers say, and where a bare name leads."""

from pathlib import Path

import pytest

from dacn.errors import RecipeError
from dacn.recipe import shipped
from dacn.recipe.recipe import load_recipe
from dacn.recipe.shipped import Header, find_recipe, read_header, shipped_recipe, shipped_recipes

HEADER = """# yaml-language-server: $schema=x.json
# What it is: a trial.
# A paper.
# Expect: 94.2 on the target,
#   with three seeds.
# A remark that belongs to nothing.
# Time:   2 minutes on one CPU core.
seed: 0
# Expect: nothing, this is no header any more.
"""


def test_a_header_is_a_sentence_what_to_expect_and_how_long_it_takes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEADER)
    assert read_header(tmp_path / "a.yaml") == Header(
        "What it is: a trial.", "94.2 on the target, with three seeds.", "2 minutes on one CPU core."
    )
    (tmp_path / "b.yaml").write_text("seed: 0\n")
    assert read_header(tmp_path / "b.yaml") == Header("", "not measured", "not measured")


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_recipe_says_what_it_is_and_what_to_expect(name: str) -> None:
    header = read_header(shipped_recipes()[name])
    assert header.about.endswith(".")
    assert header.expect


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recipes in place of dacn's, and another working directory."""
    for name in ("one.yaml", "photographs/one.yaml", "photographs/two.yaml", "results/rows.yaml"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text("data: {pair: digits}")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "own")
    monkeypatch.setattr(shipped.shipped_recipes, "__defaults__", (tmp_path / "own",))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "own"


def test_names_are_paths_below_the_folder(elsewhere: Path) -> None:
    assert [*shipped_recipes()] == ["one", "photographs/one", "photographs/two"]
    assert shipped_recipe("two") == shipped_recipe("photographs/two") == elsewhere / "photographs/two.yaml"
    assert shipped_recipe("one") == elsewhere / "one.yaml"
    assert shipped_recipe("three") is None


def test_a_bare_name_leads_to_ones_own_file_before_dacns(elsewhere: Path) -> None:
    assert find_recipe(Path("two")) == elsewhere / "photographs/two.yaml"
    Path("recipes").mkdir()
    Path("recipes/two.yaml").write_text("data: {pair: digits}")
    assert find_recipe(Path("two")) == Path("recipes/two.yaml")
    Path("two.yaml").write_text("data: {pair: digits}")
    assert find_recipe(Path("two")) == Path("two.yaml")
    Path("two").mkdir()  # what is there is meant, and told of
    assert find_recipe(Path("two")) == Path("two")
    assert find_recipe(Path("photographs/one")) == elsewhere / "photographs/one.yaml"
    assert find_recipe(Path("two.yml")) == Path("two.yml")


def test_a_recipe_by_its_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("digits_acn", ["train.steps=7"])
    assert (recipe.name, recipe.train.steps) == ("digits_acn", 7)
    with pytest.raises(RecipeError, match=r"^digits_anc: no such recipe; did you mean 'digits_acn'\?$"):
        load_recipe("digits_anc")
    with pytest.raises(RecipeError, match=r"^recipes/digits_acn.yaml: no such recipe; did you mean 'digits_acn'\?$"):
        load_recipe("recipes/digits_acn.yaml")
    with pytest.raises(RecipeError, match=r"^zzzz: no such recipe; `dacn recipes` lists those that come with dacn$"):
        load_recipe("zzzz")
