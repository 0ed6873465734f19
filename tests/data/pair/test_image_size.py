"""The size that images are brought to where the recipe leaves it to the files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dacn.cli import main
from dacn.data.inspect.check import check
from dacn.data.pair.config import DataConfig
from dacn.data.pair.pairs import build_pair
from dacn.recipe.recipe import load_recipe


def draw(folder: Path, *sizes: tuple[int, int], classes: tuple[str, ...] = ("cat", "dog")) -> dict[str, Path]:
    generator = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index, (width, height) in enumerate(sizes):
            pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return {"folder": folder}


@pytest.mark.parametrize(
    ("photos", "sketches", "side"),
    [
        ([(40, 30), (20, 20), (28, 99)], [(70, 80)], 32),  # the median photo is not enlarged... as far as 32 goes
        ([(100, 50)], [(70, 80)], 48),
        ([(64, 64)], [(300, 64), (64, 300), (500, 70)], 64),
        ([(227, 227)], [(227, 227)], 64),
    ],
)
def test_the_largest_size_that_the_median_file_is_not_enlarged_to(
    tmp_path: Path, photos: list[tuple[int, int]], sketches: list[tuple[int, int]], side: int
) -> None:
    config = DataConfig(
        source=draw(tmp_path / "photos", *photos),
        target=draw(tmp_path / "sketches", *sketches),
        target_test=draw(tmp_path / "test", (500, 500)),  # labels and sizes of what is only reported choose nothing
    )
    pair = build_pair(config)
    assert pair.source.images.shape[-1] == pair.target.images.shape[-1] == side
    fixed = build_pair(config.model_copy(update={"image_size": side}))
    torch.testing.assert_close(pair.source.images, fixed.source.images)
    assert check(config).parts["source"].size == (side, side)


def test_an_archive_beside_a_folder_follows_it(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), np.uint8)
    np.savez(tmp_path / "target.npz", images=images)
    pair = build_pair(DataConfig(source=draw(tmp_path / "photos", (64, 64)), target={"npz": tmp_path / "target.npz"}))
    assert pair.target.images.shape == (6, 3, 64, 64)


def test_without_folders_it_is_32(tmp_path: Path) -> None:
    assert build_pair(DataConfig(pair="digits")).source.images.shape[-1] == 32


def test_images_that_shrink_by_much_are_told(tmp_path: Path) -> None:
    photos, sketches = draw(tmp_path / "photos", (400, 256)), draw(tmp_path / "sketches", (255, 300))
    config = DataConfig(source=photos, target=sketches)
    (note,) = build_pair(config).notes
    assert note == (
        "photos: the median file has 400x256 pixels and is shrunk to 64x64: what is finer than 4 of its pixels is "
        "lost; data.image_size sets another size"
    )
    assert note in check(config).warnings
    assert build_pair(config.model_copy(update={"image_size": 128})).notes == ()


def test_a_run_tells_the_size_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw(Path("photos"), (300, 290)), draw(Path("sketches"), (50, 60))
    Path("own.yaml").write_text(
        "data: {source: {folder: photos}, target: {folder: sketches}}\n"
        "model: {backbone: {name: small_cnn, width: 4}}\ntrain: {steps: 2, source_batch: 4, target_ratio: 1}\n"
    )
    result = CliRunner().invoke(main, ["train", "own.yaml", "--out", "run", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "images of 48x48 pixels: the median file has 300x290 and 50x60 (data.image_size sets another size)" in lines
    assert any(line.startswith("warning: photos: the median file has 300x290 pixels and is shrunk") for line in lines)
    data = load_recipe("run/recipe.yaml").data
    assert data is not None
    assert data.image_size == 48
    examined = CliRunner().invoke(main, ["doctor", "own.yaml", "--steps", "2", "--device", "cpu"])
    assert "is shrunk to 48x48" in examined.output
    assert "images of 48x48 pixels: the median file has 300x290 and 50x60" in examined.output
