"""``dacn data check`` through its entry point."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dacn.cli import main

PACS = Path(__file__).parents[2] / "../shared/data/pacs64"
PAIR = "data: {source: {folder: photos}, target: {folder: sketches}, image_size: 16}\n"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for domain in ("photos", "sketches"):
        for kind in ("cat", "dog [x]"):
            (tmp_path / domain / kind).mkdir(parents=True)
            for index in range(8):
                coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((20, 20)).save(tmp_path / domain / kind / f"{index}.png")
    (tmp_path / "my.yaml").write_text(PAIR)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", "check", *arguments])


def test_the_report_is_printed_and_written(tmp_path: Path) -> None:
    result = run("my.yaml")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["source", "target"] in lines
    assert ["images", "16", "16"] in lines
    assert ["labels", "trained", "on", "dropped"] in lines
    assert ["dog", "[x]", "8", "(50", "%)", "8", "(50", "%)"] in lines
    assert "shift: proxy A-distance" in result.stdout
    assert "duplicates: no image of target in source" in result.stdout
    assert result.stdout.rstrip().endswith("The report is in runs/my-check")
    written = json.loads((tmp_path / "runs/my-check/check.json").read_text())
    assert written["recipe"] == "my"
    assert written["parts"]["source"]["classes"] == {"cat": 8, "dog [x]": 8}
    with Image.open(tmp_path / "runs/my-check/pair.png") as figure:
        assert figure.size[0] >= 400


def test_json_is_all_there_is_and_what_was_written(tmp_path: Path) -> None:
    result = run("my.yaml", "--json", "--out", "here")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == json.loads((tmp_path / "here/check.json").read_text())


def test_keys_can_be_set() -> None:
    result = run("my.yaml", "--json", "--set", "data.image_size=24", "--set", "data.test_fraction=0.25")
    assert json.loads(result.stdout)["parts"]["target_test"]["size"] == [24, 24]


def test_what_train_would_refuse_is_told_in_its_words(tmp_path: Path) -> None:
    (tmp_path / "sketches/cat").rename(tmp_path / "sketches/cats")
    result = run("my.yaml")
    assert result.exit_code == 2
    refused = CliRunner().invoke(main, ["train", "my.yaml"])
    assert refused.exit_code == 2
    words = refused.output.removeprefix("Error: ").strip()
    assert "must have the same classes" in words
    assert f"problem: {words}\n`dacn train` would stop here\n" in result.stdout
    assert (tmp_path / "runs/my-check/pair.png").is_file()
    as_json = run("my.yaml", "--json")
    assert as_json.exit_code == 2
    assert json.loads(as_json.stdout)["problems"] == [words]


def test_without_a_source_there_is_no_figure(tmp_path: Path) -> None:
    result = run("my.yaml", "--set", "data.source={folder: nowhere}")
    assert result.exit_code == 2
    assert "problem: data.source: nowhere: no such folder" in result.stdout
    assert "The report is in runs/my-check; no figure, for lack of a labelled source and a target" in result.stdout
    assert [file.name for file in (tmp_path / "runs/my-check").iterdir()] == ["check.json"]


def test_a_figure_of_before_does_not_stay(tmp_path: Path) -> None:
    run("my.yaml")
    run("my.yaml", "--set", "data.source={folder: nowhere}")
    assert [file.name for file in (tmp_path / "runs/my-check").iterdir()] == ["check.json"]


def test_mistakes() -> None:
    result = run("nothing.yaml")
    assert result.exit_code == 2
    assert "nothing.yaml: no such recipe" in result.stderr
    result = run("my.yaml", "--set", "data.resize=crp")
    assert result.exit_code == 2
    assert "data.resize: got 'crp', expected one of crop, pad, stretch; did you mean 'crop'?" in result.stderr
    assert not Path("runs").exists()
    Path("file").write_text("")
    result = run("my.yaml", "--out", "file")
    assert result.exit_code == 2
    assert "--out file: file is a file; choose another folder" in result.stderr


def test_class_names_are_as_written(tmp_path: Path) -> None:
    for name in ("001", "010", "8", "no"):
        shutil.copytree(tmp_path / "photos" / "cat", tmp_path / "src" / name)
    Path("own.yaml").write_text(
        "data: {source: {folder: src}, target: {folder: photos/cat}, class_map: {001: 010, no: 8}, image_size: 16}\n"
    )
    result = run("own.yaml", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["parts"]["source"]["classes"] == {"010": 16, "8": 16}


def test_many_classes_are_cut(tmp_path: Path) -> None:
    np.savez("many.npz", images=np.zeros((60, 8, 8, 3), np.uint8), labels=np.arange(60))
    Path("many.yaml").write_text("data: {source: {npz: many.npz}, target: {npz: many.npz}}\n")
    result = run("many.yaml")
    assert "and 20 more classes, in check.json" in result.stdout


def test_the_embedded_pair() -> None:
    result = CliRunner().invoke(main, ["data", "check", str(Path(__file__).parents[2] / "recipes/digits_acn.yaml")])
    assert result.exit_code == 0, result.output
    assert "1,352" in result.stdout


def test_pacs() -> None:
    if not PACS.is_dir():
        pytest.skip("PACS is not beside this checkout")
    Path("pacs.yaml").write_text(
        f"data: {{source: {{folder: {PACS}/photo}}, target: {{folder: {PACS}/cartoon}}, image_size: 64,"
        " classes: [dog, horse, house], test_fraction: 0.2}\n"
    )
    result = run("pacs.yaml", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["parts"]["source"]["classes"] == {"dog": 151, "horse": 159, "house": 224}
    assert found["parts"]["target"]["original_sizes"] == [[64, 64]] * 3
    assert found["proxy_a_distance"] > 0.8
