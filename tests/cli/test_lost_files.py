"""No image vanishes and no class changes its meaning without a word, through the real commands."""

import csv
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image, features

from dacn.cli import main
from tests.permissions import without_permission

RECIPE: dict[str, Any] = {
    "data": {
        "source": {"folder": "src"},
        "target": {"folder": "tgt"},
        "target_test": {"folder": "tst"},
        "image_size": 16,
        "flips": False,
    },
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "algorithm": "supervised",
    "train": {"steps": 12, "source_batch": 8, "ema": 0},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "evaluate": {"every": 6},
}


def dacn(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def save(folder: Path, count: int = 4, bright: bool = False, suffix: str = ".png", kind: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    begun = len([*folder.iterdir()])
    for index in range(begun, begun + count):
        low = 150 if bright else 0
        pixels = np.random.default_rng(index + low).integers(low, low + 100, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}{suffix}", kind)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Dark images of class a, bright ones of b, some without labels, a recipe."""
    monkeypatch.chdir(tmp_path)
    for domain in ("src", "tst"):
        save(tmp_path / domain / "a")
        save(tmp_path / domain / "b", bright=True)
    save(tmp_path / "tgt", 8)
    write()
    return tmp_path


def write(**data: Any) -> None:
    Path("r.yaml").write_text(yaml.safe_dump({**RECIPE, "data": {**RECIPE["data"], **data}}))


def check(*options: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(dacn("data", "check", "r.yaml", "--json", *options).stdout)
    return content


def test_images_of_any_suffix_are_read(work: Path) -> None:
    save(work / "src/b", 2, True, ".jfif", "JPEG")
    save(work / "src/b", 1, True, "", "PNG")
    save(work / "tgt", 2, suffix=".avif" if features.check("avif") else ".webp")
    report = check()
    assert report["parts"]["source"]["classes"] == {"a": 4, "b": 7}
    assert report["parts"]["target"]["images"] == 10
    assert report["parts"]["source"]["passed_over"] == []


def test_what_is_not_read_is_told_by_check_and_training_and_predict(work: Path) -> None:
    (work / "src/b/x.heic").write_bytes(b"no image")
    (work / "src/a/gone.png").symlink_to("nowhere.png")
    (work / "tgt/@eaDir").mkdir()
    save(work / "tgt/@eaDir", 3)
    lost = [
        {"cause": "unknown", "suffix": ".heic", "folder": "b", "count": 1, "example": "x.heic"},
        {"cause": "dangling", "suffix": ".png", "folder": "a", "count": 1, "example": "gone.png -> nowhere.png"},
    ]
    caches = [{"cause": "cache", "suffix": ".png", "folder": "@eaDir", "count": 3, "example": "000.png"}]

    printed = dacn("data", "check", "r.yaml").stdout
    assert "warning: src: 2 files are not read:\n  1 .heic in b: not an image that Pillow" in printed
    assert "\n  1 .png in a: links to nothing (gone.png -> nowhere.png)" in printed
    assert "warning: tgt: 3 files are not read:\n  3 .png in @eaDir: left by a desktop, a file server" in printed
    report = check()
    assert report["parts"]["source"]["passed_over"] == lost
    assert report["parts"]["target"]["passed_over"] == caches

    trained = dacn("train", "r.yaml", "--out", "run")
    assert trained.exit_code == 0, trained.output
    warnings = json.loads(Path("run/summary.json").read_text())["warnings"]
    assert [warning.splitlines()[0] for warning in warnings[:2]] == [
        "src: 2 files are not read:",
        "tgt: 3 files are not read:",
    ]

    (work / "src/a/more").symlink_to("../../tgt")  # a link to a folder, of 8 images
    result = dacn("predict", "run", "src", "--out", "p.csv")
    assert result.exit_code == 0, result.output
    assert "src: 5 files are not read:\n" in result.stderr
    assert "links to nothing" in result.stderr
    with open("p.csv", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert len(paths) == 16
    assert "src/a/more/007.png" in paths
    result = dacn("predict", "run", "src", "--json")
    assert json.loads(result.stdout)["passed_over"][:2] == lost


def test_linked_folders_are_read(work: Path) -> None:
    save(work / "elsewhere", 3, bright=True)
    (work / "src/b/more").symlink_to("../../elsewhere")
    (work / "src/b/loop").symlink_to("..")
    report = check()
    assert report["parts"]["source"]["classes"] == {"a": 4, "b": 7}
    assert [part["cause"] for part in report["parts"]["source"]["passed_over"]] == ["repeated"]


@pytest.mark.parametrize("closed", ["src/b/more", "src/b", "src", "tgt"])
def test_a_closed_folder_is_an_error_everywhere(work: Path, closed: str) -> None:
    save(work / "src/b/more", 3, bright=True)
    with without_permission(work / closed):
        for command in (["data", "check", "r.yaml"], ["train", "r.yaml", "--out", "run"], ["doctor", "r.yaml"]):
            result = dacn(*command)
            assert result.exit_code != 0
            assert f"cannot be read: {closed} (permission denied)" in result.output
            assert result.exit_code == (1 if command[0] == "doctor" else 2)


def test_a_recipe_in_a_closed_folder(work: Path) -> None:
    (work / "closed").mkdir()
    with without_permission(work / "closed"):
        result = dacn("train", "closed/r.yaml")
    assert result.exit_code == 2
    assert "closed/r.yaml" in result.stderr
    assert "ermission" in result.stderr


def test_a_class_is_not_lost_by_skipping(work: Path) -> None:
    for file in (work / "src/b").iterdir():
        file.write_bytes(file.read_bytes()[:40])
    result = dacn("train", "r.yaml", "--out", "run", "--set", "data.on_bad_image=skip")
    assert result.exit_code == 2
    assert "data.source: src: no image can be read of class 'b'" in result.stderr
    assert "no image can be read of class 'b'" in check("--set", "data.on_bad_image=skip")["problems"][0]


def test_a_run_knows_its_classes(work: Path) -> None:
    assert dacn("train", "r.yaml", "--out", "run").exit_code == 0
    before = json.loads(dacn("evaluate", "run", "--json").stdout)
    assert before["target"] == 100.0
    for domain in ("src", "tst"):
        (work / domain / "a").rename(work / domain / "zebra")
    for command in (["evaluate", "run"], ["train", "r.yaml", "--out", "run", "--resume"]):
        result = dacn(*command)
        assert result.exit_code == 2
        assert "The network knows 'a', 'b'; the data (src_tgt) have 'b', 'zebra'" in result.stderr
    predicted = json.loads(dacn("predict", "run", "src", "--json").stdout)
    assert predicted["classes"] == {"a": 4, "b": 4}


def test_classes_in_another_order_are_matched_by_name(work: Path) -> None:
    def archive(path: str, names: Sequence[str]) -> None:
        images = [np.asarray(Image.open(file)) for name in names for file in sorted(Path("src", name).iterdir())]
        np.savez(path, images=np.stack(images), labels=np.repeat([0, 1], 4), classes=np.array(names))

    archive("src.npz", ["a", "b"])
    write(source={"npz": "src.npz"})
    assert dacn("train", "r.yaml", "--out", "run").exit_code == 0
    assert json.loads(dacn("evaluate", "run", "--json").stdout)["target"] == 100.0
    archive("src.npz", ["b", "a"])
    assert json.loads(dacn("evaluate", "run", "--json").stdout)["target"] == 100.0


def test_one_level_too_high(work: Path) -> None:
    (work / "up").mkdir()
    (work / "src").rename(work / "up/images")
    write(source={"folder": "up"}, target_test=None)
    for command in (["data", "check", "r.yaml"], ["train", "r.yaml", "--out", "run"], ["doctor", "r.yaml"]):
        result = dacn(*command)
        assert "only one class; point data.source.folder at up/images" in result.output
        assert result.exit_code == (1 if command[0] == "doctor" else 2)


def test_one_class_in_an_archive(work: Path) -> None:
    np.savez("one.npz", images=np.zeros((4, 16, 16), np.uint8), labels=np.full(4, 3))
    write(source={"npz": "one.npz"}, target_test=None)
    result = dacn("train", "r.yaml", "--out", "run")
    assert result.exit_code == 2
    assert "data.source (one): only one class, '3'" in result.stderr


def test_class_folders_that_hold_training_and_test_images(work: Path) -> None:
    for kind in ("a", "b"):
        save(work / "parted" / kind / "train")
        save(work / "parted" / kind / "val", 2)
    write(source={"folder": "parted"})
    (warning,) = [line for line in check()["warnings"] if line.startswith("parted")]
    assert "holds the same sub-folders (train, val); training and test images are read together" in warning


def test_unlabelled_images_by_date(work: Path) -> None:
    save(work / "dated/2024-05", 3)
    save(work / "dated/2024-06/cam1", 2)
    write(target={"folder": "dated"})
    result = dacn("train", "r.yaml", "--out", "run")
    assert result.exit_code == 2
    assert "dates, cameras or the like and no classes, say so: {folder: ..., labels: false}" in result.stderr
    write(target={"folder": "dated", "labels": False})
    report = check()
    assert report["problems"] == []
    assert (report["parts"]["target"]["images"], report["parts"]["target"]["classes"]) == (5, None)


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_unicode_forms_are_one_name(work: Path, forms: tuple[str, str]) -> None:
    there, here = (unicodedata.normalize(form, "café") for form in forms)
    (work / "src/a").rename(work / "src" / there)
    (work / "tst/a").rename(work / "tst" / here)
    write(classes=[there, "b"])
    assert check()["problems"] == []
    assert dacn("train", "r.yaml", "--out", "run").exit_code == 0
    (work / "src" / there).rename(work / "src" / here)
    assert dacn("evaluate", "run").exit_code == 0
    dacn("predict", "run", "tst", "--out", "p.csv")
    with open("p.csv", newline="", encoding="utf-8") as file:
        assert {row[key] for row in csv.DictReader(file) for key in ("class", "class_2")} == {"caf\u00e9", "b"}


def test_classes_that_only_look_the_same(work: Path) -> None:
    save(work / "src/A ")
    write(target_test=None)
    assert any("'A ', 'a' differ by case or spaces alone" in line for line in check()["warnings"])


def test_numbers_that_are_not_the_same_numbers(work: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16), dtype=np.uint8)
    np.savez("src.npz", images=images, labels=np.tile([1, 2, 3], 2))
    np.savez("tst.npz", images=images, labels=np.tile([0, 1, 2], 2))
    write(source={"npz": "src.npz"}, target_test={"npz": "tst.npz"})
    result = dacn("train", "r.yaml", "--out", "run")
    assert result.exit_code == 2
    assert "labels without names must be the same numbers" in result.stderr
    assert not Path("run").exists()
    assert "labels without names must be the same numbers" in check()["problems"][0]
