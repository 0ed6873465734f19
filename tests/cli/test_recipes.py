"""``dacn recipes``, and a dry run of one of them, through the command."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dacn.cli import main
from dacn.recipe.recipe import load_recipe
from dacn.recipe.shipped import shipped_recipes
from dacn.recipe.yaml import parse_yaml

TINY = ("data.image_size=16", "model.backbone.width=4", "train.source_batch=8", "train.steps=90", "evaluate.every=30")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def dacn(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_list_says_what_each_reproduces_and_how_long_it_takes() -> None:
    lines = dacn("recipes").stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [*shipped_recipes()]
    start = lines.index("digits_acn")
    assert lines[start + 1].startswith("  AdaMatch with Adaptive Context Normalization on the embedded pair")
    assert lines[start + 2].startswith("  expect: target 94.2 (seeds 0 to 5")
    assert lines[start + 3] == "  time:   2.8 minutes on one CPU core."
    tree = json.loads(dacn("recipes", "--json").stdout)
    assert [each["name"] for each in tree] == [*shipped_recipes()]
    assert {*tree[0]} == {"name", "about", "expect", "time"}


def test_a_copy_is_the_file_and_overwrites_nothing() -> None:
    assert dacn("recipes", "copy", "digits_dann").stdout.startswith("digits_dann.yaml: a copy of digits_dann")
    assert Path("digits_dann.yaml").read_bytes() == shipped_recipes()["digits_dann"].read_bytes()
    Path("digits_dann.yaml").write_text("mine")
    result = dacn("recipes", "copy", "digits_dann")
    assert (result.exit_code, Path("digits_dann.yaml").read_text()) == (2, "mine")
    assert "is there already; choose another DEST, or overwrite it with --force" in result.stderr
    assert dacn("recipes", "copy", "digits_dann", ".", "--force").exit_code == 0
    assert load_recipe("digits_dann.yaml").algorithm.name == "dann"
    assert dacn("recipes", "copy", "digits_dann", "new/mine.yaml").exit_code == 0
    assert load_recipe("new/mine.yaml").name == "mine"
    result = dacn("recipes", "copy", "digits_dan")
    assert result.exit_code == 2
    assert "digits_dan: dacn comes with no such recipe; did you mean 'digits_dann'?" in result.stderr


def test_a_dry_run_prints_a_whole_recipe_and_writes_nothing(tmp_path: Path) -> None:
    result = dacn("train", "digits_acn", "--dry-run", *[word for key in TINY for word in ("--set", key)])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    recipe = load_recipe("digits_acn", TINY)
    assert parse_yaml(result.stdout, "printed") == recipe.model_dump(mode="json")
    told = dict(line[2:].split(":", 1) for line in result.stdout.splitlines() if line.startswith("# "))
    told = {key: text.strip() for key, text in told.items()}
    assert told["source"] == "1,352 labelled images of digits"
    assert told["target"] == "5,408 unlabelled images of digits_photo"
    assert told["target_test"] == "1,780 labelled images of digits_photo"
    assert told["classes"].startswith("10: 0, 1, 2")
    assert told["images"] == "16x16 pixels"
    # 90 steps of 8 and 16 images
    assert told["steps"] == "90 of 8 + 16 images: 0.5 passes over the source, 0.3 over the target"
    assert "ms a step (measured over 12), 3 evaluations" in told["time"]
    assert told["memory"].endswith("MB at most in these steps")
    assert told["folder"] == "runs/digits_acn-seed0, which is free; nothing was written"
    assert [*tmp_path.iterdir()] == []


def test_a_dry_run_fails_where_training_would() -> None:
    Path("own.yaml").write_text("data: {source: {folder: photos}, target: {folder: sketches}}")
    result = dacn("train", "own.yaml", "--dry-run")
    assert result.exit_code == 2
    assert "data.source: photos: no such folder" in result.stderr
