"""A run is evaluated, gone on with and repeated on the images it was trained on, from any folder, wherever they lie."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main

RECIPE = """\
data:
  source: {folder: src}
  target: {folder: $TGT}
  target_test: {folder: tst}
  image_size: 16
model: {backbone: {name: small_cnn, width: 4}}
train: {steps: 2, source_batch: 4}
"""


def draw(home: Path, seed: int) -> None:
    """Draw a source of 8 images, a target of 6 and a target test set of 6, of two classes."""
    random = np.random.default_rng(seed)
    for name in ("src/a", "src/b", "tgt", "tst/a", "tst/b"):
        (home / name).mkdir(parents=True)
        for index in range({"s": 4, "t": 3}[name[0]] * (2 if name == "tgt" else 1)):
            Image.fromarray(random.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(home / name / f"{index}.png")


def dacn(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def accuracies(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    tree: dict[str, Any] = json.loads(result.stdout)
    return tree


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its run, and other images under the same names in ``other``."""
    home = tmp_path_factory.mktemp("trained") / "project"
    draw(home, seed=0)
    draw(home / "other", seed=1)
    (home / "r.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("TGT", "tgt")
        result = dacn("train", "r.yaml", "--out", "run")
    assert result.exit_code == 0, result.output
    return home


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project, moved as a whole: nothing is left where it was trained."""
    home = tmp_path / "project"
    shutil.copytree(trained, home)
    hidden = trained.rename(trained.with_name("hidden"))
    monkeypatch.chdir(home)
    yield home
    hidden.rename(trained)


def test_from_any_folder(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = []
    for place in (trained, trained / "other", tmp_path):  # its own, one with other images of these names, an empty one
        monkeypatch.chdir(place)
        found.append(accuracies(dacn("evaluate", str(trained / "run"), "--json")))
    assert found[0] == found[1] == found[2]
    assert found[0]["warnings"] == []
    stored = (trained / "run" / "recipe.yaml").read_text()
    assert f"folder: {trained}/src\n" in stored
    assert f"folder: {trained}/tgt\n" in stored


def test_its_recipe_repeats_it_from_any_folder(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert dacn("train", str(trained / "run" / "recipe.yaml"), "--out", "again").exit_code == 0
    first, again = (json.loads((run / "summary.json").read_text()) for run in (trained / "run", tmp_path / "again"))
    for key in ("data", "matrix", "label_free", "recipe"):
        assert again[key] == first[key]
    assert first["data"]["target_test"]["images"] == 6


def test_a_project_that_has_moved(project: Path) -> None:
    before = json.loads((project / "run" / "summary.json").read_text())
    assert accuracies(dacn("evaluate", "run", "--json"))["matrix"] == before["matrix"]


def test_images_that_have_moved(project: Path) -> None:
    (project / "disk2").mkdir()
    (project / "tst").rename(project / "disk2" / "tst")
    result = dacn("evaluate", "run")
    assert result.exit_code == 2
    assert "tst: no such folder" in result.stderr
    assert "If the run's images lie elsewhere now, say where: --set data.target_test.folder=..." in result.stderr
    assert accuracies(dacn("evaluate", "run", "--set", "data.target_test.folder=disk2/tst", "--json"))["warnings"] == []


def test_other_images_are_refused_or_told(project: Path) -> None:
    shutil.copy(project / "other" / "tst" / "a" / "0.png", project / "tst" / "a" / "0.png")
    (project / "src" / "b" / "3.png").unlink()
    result = dacn("evaluate", "run")
    assert (result.exit_code, result.stdout) == (2, "")
    told = (
        "selected.pt was trained with other images than these:\n"
        "  source: 8 images then, 7 now\n"
        "  target_test: 6 images as then, but not the same ones, or of other classes\n"
    )
    assert told in result.stderr
    result = dacn("evaluate", "run", "--other-data")
    assert result.exit_code == 0
    assert told in result.stderr
    assert "accuracy by context" in result.stdout
    (warning,) = json.loads(dacn("evaluate", "run", "--other-data", "--json").stdout)["warnings"]
    assert "source: 8 images then, 7 now" in warning


def test_going_on_with_moved_images(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TGT", "disk2/tgt")
    (project / "disk2").mkdir()
    for part in ("src", "tgt", "tst"):
        (project / part).rename(project / "disk2" / part)
    moved = RECIPE.replace("src", "disk2/src").replace("tst", "disk2/tst")
    (project / "r.yaml").write_text(moved)
    result = dacn("train", "r.yaml", "--out", "run", "--resume")
    assert result.exit_code == 0, result.output
    assert "warning" not in result.output
    assert f"folder: {project}/disk2/src\n" in (project / "run" / "recipe.yaml").read_text()


def test_going_on_with_other_images(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TGT", "tgt")
    shutil.copy(project / "other" / "tgt" / "1.png", project / "tgt" / "1.png")
    result = dacn("train", "r.yaml", "--out", "run", "--resume")
    assert result.exit_code == 2
    assert "last.pt was trained with other images than these:\n  target: 6 images as then, but not" in result.stderr
    result = dacn("train", "r.yaml", "--out", "run", "--resume", "--other-data")
    assert result.exit_code == 0, result.output
    assert "target: 6 images as then, but not the same ones" in result.output
    (project / "tgt" / "1.png").unlink()
    result = dacn("train", "r.yaml", "--out", "run", "--resume", "--other-data")
    assert result.exit_code == 2
    assert "only if they are as many; start anew with --force" in result.stderr


def test_runs_of_the_same_recipe_on_other_images_are_two_rows(
    trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(trained / "other", tmp_path / "two")
    shutil.copy(trained / "r.yaml", tmp_path / "two" / "r.yaml")
    monkeypatch.setenv("TGT", "tgt")
    monkeypatch.chdir(tmp_path / "two")
    assert dacn("train", "r.yaml", "--out", "run", "--seed", "0").exit_code == 0
    monkeypatch.chdir(tmp_path)
    result = dacn("report", str(trained / "run"), "two/run", "--format", "json")
    first, second = json.loads(result.stdout)["rows"]
    assert (first["name"], second["name"]) == (f"r ({trained / 'run'})", "r (two/run)")
    assert (second["comparison"], second["same_test_images"]) == (None, False)
