"""`dacn predict` through the real command, on runs that `dacn train` made."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main
from dacn.data.known.digits import digits
from tests.trained import a_run


def dacn(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, and the target's test images as PNG files in class folders."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "tiny.yaml").write_text(
        "data: {pair: digits}\nmodel: {backbone: {name: small_cnn, width: 4}}\n"
        "train: {steps: 4, source_batch: 8, target_ratio: 1}\nevaluate: {every: 2}\n"
    )
    result = dacn("train", folder / "tiny.yaml", "--out", folder / "run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    test = digits().target_test
    assert test is not None
    assert test.labels is not None
    for index, label in enumerate(test.labels.tolist()):
        file = folder / "photos" / str(label) / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.images[index].permute(1, 2, 0).numpy()).save(file)
    return folder


@pytest.fixture(scope="module")
def evaluated(work: Path) -> dict[str, Any]:
    printed = {name: dacn("evaluate", work / "run", "--checkpoint", name, "--json") for name in ("last", "selected")}
    return {name: json.loads(result.stdout)["matrix"] for name, result in printed.items()}


@pytest.mark.parametrize(
    ("checkpoint", "context"),
    [("selected", "source"), ("selected", "target"), ("selected", "unknown"), ("last", "target")],
)
def test_accuracy_is_that_of_evaluate(
    work: Path,
    evaluated: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    checkpoint: str,
    context: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--checkpoint", checkpoint, "--device", "cpu"]
    result = dacn("predict", work / "run", work / "photos", "--context", context, *options)
    assert result.exit_code == 0, result.output
    with open("predictions.csv", newline="") as file:
        right = [row["class"] == Path(row["path"]).parent.name for row in csv.DictReader(file)]
    assert len(right) == 1780
    assert 100 * sum(right) / len(right) == pytest.approx(evaluated[checkpoint][f"target_data/{context}_context"])
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"1,780 images under the context {context}, mean confidence ")
    assert sum(int(line.split()[1].replace(",", "")) for line in lines[2:12]) == 1780
    assert lines[-1] == "The predictions are in predictions.csv"
    assert "1,780 of 1,780 images" in result.stderr
    assert "\x1b" not in result.output


def test_json_and_nothing_else(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.move(work / "run" / "recipe.yaml", work / "recipe.yaml")  # the checkpoint is enough
    image = next((work / "photos" / "3").iterdir())
    result = dacn("predict", work / "run", image, "--json", "--device", "cpu")
    shutil.move(work / "recipe.yaml", work / "run" / "recipe.yaml")
    printed = json.loads(result.stdout)
    (row,) = printed["predictions"]
    assert (printed["images"], printed["context"], row["path"]) == (1, "target", str(image))
    assert row["confidence"] >= row["confidence_2"] >= row["confidence_3"]
    assert list(tmp_path.iterdir()) == []
    printed = json.loads(dacn("predict", work / "run", image, "--json", "--out", "p.csv", "--device", "cpu").stdout)
    assert printed["out"] == "p.csv"
    assert "predictions" not in printed
    assert len(Path("p.csv").read_text().splitlines()) == 2


def test_a_bad_image_stops_or_is_skipped(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(work / "photos" / "3", tmp_path / "threes")
    (tmp_path / "threes" / "bad.png").write_bytes(b"nothing")
    result = dacn("predict", work / "run", "threes", "--device", "cpu")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "images cannot be read; replace or remove them, or --on-bad-image skip:\n  threes/bad.png: " in result.stderr
    assert not Path("predictions.csv").exists()
    result = dacn("predict", work / "run", "threes", "--on-bad-image", "skip", "--device", "cpu")
    assert result.exit_code == 0
    assert ", 1 more could not be read" in result.stdout
    assert "threes/bad.png,,,,,,," in Path("predictions.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere", "photos"], "nowhere: no such run"),
        (["photos", "photos"], "photos: not a run folder, it has no checkpoints; `dacn train` writes them"),
        (["run", "fotos"], "fotos: no such file or folder; did you mean 'photos'?"),
        (["run", "run"], "run: no images in this folder or below\nrun: 2 files are not read"),
        (["run", "photos", "--context", "tarqet"], "knows no such context; did you mean 'target'?; expected source, "),
        (["run", "photos", "--checkpoint", "last"], "run: has no checkpoint 'last' yet; give --checkpoint selected"),
        (["run", "photos", "--on-bad-image", "warn"], "'warn' is not one of 'error', 'skip'"),
        (["run", "photos", "--out", "photos"], "--out photos: is a folder; name a file in it"),
        (["run", "photos", "--batch-size", "0"], "0 is not in the range x>=1"),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str) -> None:
    monkeypatch.chdir(tmp_path)
    a_run(tmp_path / "run")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "photos" / "a.png")
    result = dacn("predict", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr
    assert not list(tmp_path.rglob("*.csv*"))
