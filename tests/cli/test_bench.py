"""The whole of `dacn bench` through the command, at sizes that take seconds."""

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from dacn.bench.step import PARTS
from dacn.cli import main

TINY = """
data: {source: {folder: nowhere}, target: {folder: nowhere}, image_size: 8}
model: {backbone: {name: small_cnn, width: 4}}
train: {steps: 50, source_batch: 3, target_ratio: 1}
"""
QUICK = ("--device", "cpu", "--rounds", "2", "--shape", "4x8x2x2")


def benched(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return str(path)


def numbers(tree: object) -> list[float]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        return [number for branch in tree for number in numbers(branch)]
    return [tree] if isinstance(tree, int | float) else []


def test_a_method_without_a_target_counts_its_own_images(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(TINY + "algorithm: {name: source_only, strong: false}\n")
    step = json.loads(benched(str(tmp_path / "own.yaml"), *QUICK, "--json"))["step"]
    assert (step["images"], step["views"]) == (3, 3)


def test_every_part_is_measured_and_finite(recipe: str) -> None:
    result = json.loads(benched(recipe, *QUICK, "--json"))
    assert list(result["shares"]) == list(PARTS)
    assert sum(result["shares"].values()) == pytest.approx(100)
    assert min(result["shares"][part] for part in ("weak", "strong", "forwards", "backward", "optimizer", "ema")) > 0
    assert result["step"]["images"] == 6
    step = result["step"]
    assert step["views"] == 12
    assert step["views_per_second"] == pytest.approx(12 * 1000 / step["milliseconds"])
    assert step["images_per_second"] == pytest.approx(6 * 1000 / step["milliseconds"])
    assert step["gpu_busy_milliseconds"] is None
    assert result["whole_run"]["training_seconds"] == pytest.approx(50 * step["milliseconds"] / 1000)
    (norms,) = result["norms"]
    assert norms["shape"] == [4, 8, 2, 2]
    assert norms["ratios"]["bn"] == 1
    assert set(norms["ratios"]) >= {"acn, fit: task", "acn, fit: likelihood", "acn_base", "cn", "in", "gn"}
    assert set(result["augmentation"]) == {"dacn", "kornia", "torchvision"}
    assert "for GPUs" in result["bounds"]["note"]
    assert result["images_are"].startswith("made up")
    assert all(math.isfinite(number) for number in numbers(result))
    positive = [result["step"]["ratio"], *norms["ratios"].values(), result["memory"]["peak_mb"]]
    assert min(positive) > 0


@pytest.mark.parametrize(
    ("algorithm", "norm", "views"), [("dann", "bn", 6), ("fixmatch", "cn", 9), ("adamatch", "bn", 12)]
)
def test_views_are_those_that_a_method_sees(recipe: str, algorithm: str, norm: str, views: int) -> None:
    overrides = ("--set", f"algorithm={algorithm}", "--set", f"model.norm={norm}")
    assert json.loads(benched(recipe, *QUICK, *overrides, "--json"))["step"]["views"] == views


@pytest.mark.slow
def test_without_a_recipe_the_table_is_about_the_digits() -> None:
    text = benched("--device", "cpu", "--rounds", "1", "--shape", "4x8x2x2")
    assert text.startswith("digits_acn on CPU")
    assert "images: the embedded digits" in text
    assert "the GPU works" not in text
    for title in (
        "training step",
        "views/s",
        "the recipe will take",
        "those of the recipe's pair",
        "acn, fit: likelihood",
        "torchvision",
        "peak memory of the process",
        *PARTS,
    ):
        assert title in text


@pytest.mark.parametrize("shape", ["8x8", "4x8x2x0", "4x8x2xa", "2x8x2x2"])
def test_a_shape_is_four_sizes(shape: str) -> None:
    result = CliRunner().invoke(main, ["bench", "--shape", shape])
    assert result.exit_code == 2
    assert f"got '{shape}'; expected four sizes" in result.stderr


def test_an_override_needs_a_recipe() -> None:
    result = CliRunner().invoke(main, ["bench", "--set", "seed=1"])
    assert result.exit_code == 2
    assert "--set overrides a key of RECIPE: name one" in result.stderr
