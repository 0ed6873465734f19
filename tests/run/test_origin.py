"""Where a checkpoint comes from, and what may take the place of its recipe, version and images."""

from pathlib import Path
from typing import Any

import pytest

from dacn.errors import DataError, RecipeError
from dacn.recipe.paths import absolute
from dacn.recipe.recipe import Recipe, parse_recipe
from dacn.run.origin import (
    origin_of,
    require_same_images,
    require_same_network,
    require_same_origin,
    with_current_paths,
)

LAST = Path("last.pt")
DATA = {"source": {"images": 8, "digest": "a"}, "target": {"images": 9, "digest": "b"}}
OTHERS = DATA | {"target": {"images": 9, "digest": "c"}}


def folders(home: Path | str, **more: Any) -> Recipe:
    data = {"source": {"folder": f"{home}/src"}, "target": {"folder": f"{home}/tgt"}}
    return parse_recipe({"name": "x", "data": data} | more, "test")


def a_recipe(**changes: object) -> Recipe:
    return parse_recipe({"name": "x", "data": {"pair": "digits"}} | changes, "test")


def test_resuming_with_another_recipe_names_the_keys() -> None:
    recipe = a_recipe()
    saved = {"origin": origin_of(recipe)}
    require_same_origin(Path("last.pt"), saved, recipe)
    other = a_recipe(seed=1, algorithm={"name": "adamatch", "threshold": 0.5})
    with pytest.raises(RecipeError, match=r"started with another recipe; algorithm.threshold, seed differ\."):
        require_same_origin(Path("last.pt"), saved, other)


def test_resuming_with_another_version_names_both() -> None:
    recipe = a_recipe()
    saved = {"origin": origin_of(recipe) | {"dacn": "0.0.1"}}
    with pytest.raises(
        RecipeError, match=r"last\.pt was written by dacn 0\.0\.1, and this is .*start anew with --force"
    ):
        require_same_origin(Path("last.pt"), saved, recipe)


def test_a_checkpoint_that_does_not_say_where_it_comes_from() -> None:
    for saved in ({}, {"origin": 3}, {"origin": {"recipe": "x"}}):
        with pytest.raises(DataError, match=r"last\.pt: does not say which recipe wrote it"):
            require_same_origin(Path("last.pt"), saved, a_recipe())


def test_weights_of_another_network_are_refused_and_other_keys_may_differ() -> None:
    saved = {"origin": origin_of(a_recipe())}
    require_same_network(Path("last.pt"), saved, a_recipe(seed=3))
    with pytest.raises(RecipeError, match=r"last\.pt: holds another network than its recipe.yaml; model\.norm\.\S+"):
        require_same_network(Path("last.pt"), saved, a_recipe(model={"norm": "bn"}))


def test_the_same_images_may_lie_elsewhere() -> None:
    saved = {"origin": origin_of(folders("/one"), DATA)}
    assert require_same_origin(LAST, saved, folders("/two"), DATA) == []
    with pytest.raises(RecipeError, match=r"another recipe; seed differ\."):
        require_same_origin(LAST, saved, folders("/two", seed=1), DATA)


def test_other_images_do_not_take_their_place_under_any_path() -> None:
    saved = {"origin": origin_of(folders("/one"), DATA)}
    with pytest.raises(DataError) as error:
        require_same_origin(LAST, saved, folders("/one"), OTHERS)
    assert str(error.value) == (
        "--resume: last.pt was trained with other images than these:\n"
        "  target: 9 images as then, but not the same ones, or of other classes\n"
        "Give the same ones (they may lie elsewhere); --other-data takes these all the same"
    )
    (told,) = require_same_origin(LAST, saved, folders("/one"), OTHERS, other_data=True)
    assert "target: 9 images as then" in told


def test_a_run_does_not_go_on_with_more_images_at_all() -> None:
    saved = {"origin": origin_of(folders("/one"), DATA)}
    more = DATA | {"source": {"images": 80, "digest": "d"}}
    with pytest.raises(DataError, match=r"source: 8 images then, 80 now\nA run can go on with other images only if"):
        require_same_origin(LAST, saved, folders("/one"), more, other_data=True)
    told = require_same_images(LAST, saved, more, other_data=True)
    assert told == "last.pt was trained with other images than these:\n  source: 8 images then, 80 now"


def test_a_checkpoint_that_does_not_know_its_images_goes_by_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = folders("one").model_dump(mode="json")
    saved = {"origin": {"dacn": origin_of(Recipe())["dacn"], "recipe": tree}}  # as versions before this one wrote it
    (told,) = require_same_origin(LAST, saved, absolute(folders("one")), DATA)
    assert told == (
        "--resume: last.pt does not say which images it was trained on, so these are not compared with them"
    )
    with pytest.raises(RecipeError, match=r"data\.source\.folder, data\.target\.folder differ"):
        require_same_origin(LAST, saved, absolute(folders("two")), DATA)


def test_a_key_that_is_newer_than_the_checkpoint_is_at_its_default() -> None:
    recipe = parse_recipe({"data": {"source": {"python": "a:b"}, "target": {"python": "a:c"}}}, "test")
    tree = recipe.model_dump(mode="json")
    for part in ("source", "target"):
        del tree["data"][part]["path"]
    del tree["model"]["norm"]["eps"]
    saved = {"origin": {"dacn": origin_of(recipe)["dacn"], "recipe": tree}}
    require_same_origin(LAST, saved, recipe)
    require_same_network(LAST, saved, recipe)
    saved["origin"]["recipe"]["model"]["norm"]["eps"] = 0.5  # one that was written, and is another
    with pytest.raises(RecipeError, match=r"model\.norm\.eps"):
        require_same_origin(LAST, saved, recipe)


def test_a_project_that_has_moved_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "src").mkdir(parents=True)
    monkeypatch.chdir(old)
    recipe = absolute(folders("."))
    saved = {"origin": origin_of(recipe, DATA)}
    assert with_current_paths(LAST, saved, recipe) == recipe
    (old / "elsewhere").mkdir()
    monkeypatch.chdir(old / "elsewhere")
    assert with_current_paths(LAST, saved, recipe) == recipe
    old.rename(new)
    monkeypatch.chdir(new)
    there = with_current_paths(LAST, saved, recipe).data
    assert there is not None
    assert there.source is not None
    assert there.source.folder == new / "src"  # type: ignore[union-attr]
    assert there.target.folder == old / "tgt"  # type: ignore[union-attr] # it is nowhere: the old path is named
