"""A user's mistakes, through the real command: one clear message, exit code 2, nothing written."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main

TINY = ["--set", "train.steps=2", "--set", "train.source_batch=4", "--set", "evaluate.every=1", "--device", "cpu"]
TINY += ["--set", "model.backbone.width=4", "--set", "data.image_size=16"]


def draw(folder: Path, classes: tuple[str, ...], count: int = 3, seed: int = 0) -> Path:
    """Write a folder domain; without classes a flat one."""
    generator = np.random.default_rng(seed)
    for name in classes or ("",):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.fromarray(generator.integers(0, 255, (20, 24, 3), np.uint8)).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "photos", ("cat", "dog"))
    draw(tmp_path / "sketches", ("cat", "dog"), seed=1)
    draw(tmp_path / "flat", (), count=5, seed=2)
    Path("own.yaml").write_text("data: {source: {folder: photos}, target: {folder: sketches}}")
    return tmp_path


def train(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["train", "own.yaml", *TINY, *arguments], catch_exceptions=False)


def assert_refused(result: Result, *messages: str) -> None:
    assert result.exit_code == 2
    for message in messages:
        assert message in result.stderr
    assert "Traceback" not in result.output
    assert not Path("runs").exists()


def test_folders_with_labels_train_and_stay_unlabelled(work: Path) -> None:
    result = train("--set", "data.target_test={folder: sketches}")
    assert result.exit_code == 0, result.output
    assert "target data" in result.stdout


def test_a_flat_target_without_labels_trains(work: Path) -> None:
    result = train("--set", "data.target.folder=flat")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["target", "-", "-", "-", "-"] in rows  # last, selected, oracle and the gap


def test_several_mistakes_are_told_at_once(work: Path) -> None:
    Path("own.yaml").write_text("data: {pair: digits}\nalgoritm: adamatch\ntrain: {steps: many, source_batch: 0}")
    assert_refused(
        CliRunner().invoke(main, ["train", "own.yaml"]),
        "own.yaml: 3 problems",
        "algoritm",
        "did you mean 'algorithm'?",
        "train.steps: got 'many', expected a whole number",
        "train.source_batch: got 0",
    )


def test_a_missing_folder_is_named(work: Path) -> None:
    assert_refused(
        train("--set", "data.source.folder=potos"), f"data.source: {work / 'potos'}: no such folder", "'photos'"
    )


def test_all_that_is_missing_is_named_at_once(work: Path) -> None:
    (work / "empty").mkdir()
    result = train(
        *("--set", "data.source=[{folder: photos}, {folder: no1}]", "--set", "data.target={npz: no2.npz}"),
        *("--set", "data.target_test={torchvision: USPS, root: no3}", "--set", "data.source_test={folder: empty}"),
        *(
            "--set",
            "data.context={name: file, path: no4.csv}",
            "--set",
            "data.source_test=[{folder: no5}, {folder: empty}]",
        ),
    )
    assert_refused(result, "Error: 6 problems with the images:\n")
    lines = result.stderr.splitlines()[1:]
    assert [line.split(": ")[0].strip() for line in lines] == [
        *("data.source[1]", "data.target", "data.source_test[0]", "data.source_test[1]", "data.target_test"),
        "data.context.path",
    ]
    for line, name in zip(lines, ("no1", "no2.npz", "no5", "empty", "no3", "no4.csv"), strict=True):
        assert name in line


def test_class_sets_that_differ_are_listed(work: Path) -> None:
    draw(work / "sketches", ("horse",))
    assert_refused(train(), "data.source and data.target must have the same classes", "lacks 'horse'")


def test_a_corrupt_image_is_named(work: Path) -> None:
    (work / "sketches" / "dog" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert_refused(train(), "data.target: ", str(Path("sketches/dog/1.png")))


def test_a_source_without_labels_is_refused(work: Path) -> None:
    assert_refused(train("--set", "data.source.folder=flat"), "data.source: flat has no labels")


def test_a_target_test_without_labels_is_refused(work: Path) -> None:
    assert_refused(train("--set", "data.target_test={folder: flat}"), "data.target_test: flat has no labels")


def test_absent_files_of_a_named_pair_name_the_command_that_brings_them(work: Path) -> None:
    Path("own.yaml").write_text("data: {pair: mnist_usps, root: nowhere}")
    result = CliRunner().invoke(main, ["train", "own.yaml"])
    assert_refused(result, "nowhere", "--set data.download=true")


def test_a_mistake_in_the_data_keeps_the_run_that_force_would_replace(work: Path) -> None:
    assert train("--out", "out").exit_code == 0
    before = Path("out/summary.json").read_bytes()
    assert train("--out", "out", "--force", "--set", "data.source.folder=gone").exit_code == 2
    assert Path("out/summary.json").read_bytes() == before
