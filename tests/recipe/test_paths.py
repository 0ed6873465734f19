"""Paths in recipes: `~`, variables, where relative ones start, and which keys hold one."""

import os
from pathlib import Path
from typing import Any

import pytest

from dacn.errors import RecipeError
from dacn.recipe.paths import absolute, paths_in, relocated, with_paths, without_paths
from dacn.recipe.recipe import Recipe, load_recipe


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA", "/disk one/d")
    monkeypatch.delenv("NOWHERE", raising=False)

    def load(text: str, *overrides: str) -> Any:
        (tmp_path / "r.yaml").write_text(text)
        return load_recipe(tmp_path / "r.yaml", overrides)

    return load


FORMS = ["$DATA/src", "${DATA}/src", '"$DATA/src"', "'${DATA}/src'"]


@pytest.mark.parametrize("written", FORMS)
def test_variables_in_braces_blocks_and_set(load: Any, written: str) -> None:
    flow = load(f"data: {{source: {{folder: {written}}}, target: {{npz: {written}}}, root: {written}}}")
    block = load(f"data:\n  source:\n    folder: {written}\n  target: {{npz: {written} }}\n  root: {written}  # here\n")
    by_set = load("data: {pair: digits}", f"data.source={{folder: {written}}}", f"data.root={written}")
    for data in (flow.data, block.data):
        assert (data.source.folder, data.target.npz, data.root) == (Path("/disk one/d/src"),) * 3
    assert (by_set.data.source.folder, by_set.data.root) == (Path("/disk one/d/src"),) * 2


def test_variables_anywhere_in_a_path(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "x")
    monkeypatch.setenv("HOME", "/home/me")
    data = load("data: {source: [{folder: a/${A}/b$A}, {folder: ${A}${A}}], target: {torchvision: USPS, root: ~/$A}}")
    assert [spec.folder for spec in data.data.source] == [Path("a/x/bx"), Path("xx")]
    assert data.data.target.root == Path("/home/me/x")
    context = load("data: {pair: digits, context: {name: file, path: $A.csv}}").data.context
    assert context.path == Path("x.csv")


def test_text_that_is_no_path_keeps_its_dollars(load: Any) -> None:
    data = load("data: {pair: digits, classes: [$DATA, ${DATA}b, c$]}").data
    assert data.classes == ("$DATA", "${DATA}b", "c$")


def test_variables_that_are_not_set_are_named_all_at_once(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")  # `$EMPTY/src` would be /src
    with pytest.raises(RecipeError) as error:
        load("data: {source: {folder: $NOWHERE/a}, target: {folder: ${NOWHERE}/$OTHER}, root: $EMPTY/x}")
    lines = str(error.value).splitlines()
    assert lines[0].endswith("r.yaml: 3 problems")
    told = {line.split(":")[0].strip(): line for line in lines[1:]}
    assert "got '$NOWHERE/a', the environment has no NOWHERE to put in" in told["data.source.folder"]
    assert "no NOWHERE and no OTHER to put in" in told["data.target.folder"]
    assert "no EMPTY to put in" in told["data.root"]


def test_a_folder_that_is_really_called_so(load: Any, tmp_path: Path) -> None:
    (tmp_path / "cash$money").mkdir()
    assert load("data: {pair: digits, root: cash$money}").data.root == Path("cash$money")


def test_yaml_that_stumbles_says_to_quote(load: Any) -> None:
    for text in ("data: {source: {folder: a{b}}}", "data: {source: {folder: @x}}", "data: {root: a: b}"):
        with pytest.raises(RecipeError, match="text with special characters is to stand in quotes"):
            load(text)


RECIPE = """
data:
  source: [{folder: a}, {python: "m:f"}]
  target: {npz: /b/t.npz}
  target_test: {torchvision: USPS, root: r}
  context: {name: file, path: c.csv}
"""


def test_all_paths_of_a_recipe(load: Any, tmp_path: Path) -> None:
    recipe = load(RECIPE)
    expected = {
        **{
            "data.root": "data",
            "data.source[0].folder": "a",
            "data.source[1].path": ".",
            "data.target.npz": "/b/t.npz",
        },
        **{"data.target_test.root": "r", "data.context.path": "c.csv"},
    }
    assert {key: str(path) for key, path in paths_in(recipe)} == expected
    started = {key: Path(os.path.normpath(tmp_path / path)) for key, path in expected.items()}
    assert dict(paths_in(absolute(recipe))) == started
    assert with_paths(recipe, lambda path: path) == recipe
    other = load(RECIPE.replace("/b/t.npz", "elsewhere.npz"))
    assert without_paths(other) == without_paths(absolute(recipe))
    assert without_paths(load(RECIPE.replace("USPS", "MNIST"))) != without_paths(recipe)
    assert absolute(Recipe()) == Recipe()


def test_a_path_follows_its_project_only_where_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("old/kept", "new/kept", "new/moved"):
        (tmp_path / folder).mkdir(parents=True)
    data = {"source": {"folder": tmp_path / "old/kept"}, "target": {"folder": tmp_path / "old/moved"}, "root": "/x"}
    recipe = Recipe.model_validate({"data": data})
    monkeypatch.chdir(tmp_path / "new")
    found = dict(paths_in(relocated(recipe, tmp_path / "old")))
    assert found == {
        "data.root": Path("/x"),
        "data.source.folder": tmp_path / "old/kept",
        "data.target.folder": tmp_path / "new/moved",
    }
