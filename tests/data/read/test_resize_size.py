"""Images with a border: training views are cut from all of them, anything else sees their centre."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from dacn.data.domain import Domain
from dacn.data.fit import centre_crop, fit_image
from dacn.data.pair.pairs import DataConfig, build_pair
from dacn.data.read.images import Streamed, fetch
from dacn.data.read.resident import memory_note
from dacn.deploy.loading import load_run
from dacn.errors import DataError
from dacn.recipe.recipe import parse_recipe
from dacn.run.evaluation import evaluate_run
from dacn.run.run import train_recipe


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    random = np.random.default_rng(0)
    for domain in ("photos", "drawings"):
        for index in range(12):
            file = tmp_path / domain / f"class{index % 2}" / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 100, (30, 40, 3), np.uint8)
            pixels[:, :, index % 2] += 120
            Image.fromarray(pixels).save(file)
    return {"source": tmp_path / "photos", "target": tmp_path / "drawings"}


def config(folders: dict[str, Path], **more: Any) -> DataConfig:
    tree = {key: {"folder": path} for key, path in folders.items()}
    return DataConfig.model_validate({**tree, "test_fraction": 0.25, "image_size": 16, "resize_size": 20, **more})


@pytest.mark.parametrize(("side", "size"), [(8, 8), (9, 4), (256, 224), (21, 16), (22, 17), (40, 25)])
def test_the_centre_is_torchvisions(side: int, size: int) -> None:
    images = torch.arange(3 * side * side).view(1, 3, side, side)
    assert torch.equal(centre_crop(images, size), functional.center_crop(images, [size, size]))
    assert np.array_equal(centre_crop(images.numpy(), size), centre_crop(images, size).numpy())


@pytest.mark.parametrize("mb", [0, 1024])
def test_training_images_have_a_border_and_all_else_sees_the_centre(folders: dict[str, Path], mb: int) -> None:
    pair = build_pair(config(folders, resident_mb=mb))
    for domain in pair.domains.values():
        assert domain.images.shape[2:] == (16, 16)
        assert domain.training_images.shape[2:] == (20, 20)
        assert isinstance(domain.images, Streamed) == (mb == 0)
        rows = torch.tensor([2, 0])
        assert torch.equal(fetch(domain.images, rows), centre_crop(fetch(domain.training_images, rows), 16))
        assert torch.equal(domain.rows(rows).images[:], domain.images[rows])
    with Image.open(sorted((folders["target"] / "class0").iterdir())[0]) as image:
        expected = fit_image(image, 20)
    everything = torch.cat([pair.target.training_images[:], pair.target_test.training_images[:]])  # type: ignore[union-attr]
    assert any(np.array_equal(one.permute(1, 2, 0), expected) for one in everything)


def test_what_would_hold_all_counts_the_border(folders: dict[str, Path]) -> None:
    pair = build_pair(config(folders, resident_mb=0, image_size=400, resize_size=500))
    assert "data.resident_mb=18 " in str(memory_note(pair))  # 24 of 750,000 bytes


def test_a_target_that_is_its_own_test_set_stays_so(tmp_path: Path, folders: dict[str, Path]) -> None:
    (tmp_path / "pacs").mkdir()
    for name, path in {"photo": folders["source"], "sketch": folders["target"]}.items():
        path.rename(tmp_path / "pacs" / name)
    pair = build_pair(
        DataConfig.model_validate({"pair": "pacs_photo_sketch", "root": tmp_path, "image_size": 16, "resize_size": 18})
    )
    assert pair.target_test is not None
    assert pair.target_test.images is pair.target.images


def test_a_resize_that_is_smaller_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"resize_size: got 200, but data\.image_size is 224"):
        DataConfig.model_validate({"pair": "digits", "image_size": 224, "resize_size": 200})


def test_a_border_that_does_not_hold_the_image_is_refused() -> None:
    images = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    for wrong in (images[:2], images[:, :, :10]):
        with pytest.raises(DataError, match="not the centre squares"):
            replace(Domain("reds", images), uncropped=wrong)


def test_a_run_with_crops_and_mirrored_test_images_is_predicted_with_and_evaluated_as_it_was(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    tree = {
        "data": {
            **{key: {"folder": str(path)} for key, path in folders.items()},
            **{"test_fraction": 0.25, "image_size": 16, "resize_size": 20, "flips": True},
        },
        "augment": {"crop": [0.5, 1.0], "colour_jitter": {"hue": 0.05}},
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": "cn"},
        "train": {"steps": 3, "source_batch": 4, "target_ratio": 1},
        "evaluate": {"flips": True, "select": "last"},
    }
    summary = train_recipe(parse_recipe(tree, "test"), out=tmp_path / "run", device="cpu")
    assert evaluate_run(tmp_path / "run", device="cpu")["matrix"] == summary["matrix"]
    network = load_run(tmp_path / "run", device="cpu")
    assert (network.image_size, network.resize_size) == (16, 20)
    files = sorted(folders["target"].rglob("*.png"))
    fitted = [centre_crop(fit_image(Image.open(file), 20).transpose(2, 0, 1), 16) for file in files]
    images = torch.from_numpy(np.stack(fitted))
    by_file = network.predict([Image.open(file) for file in files])
    assert torch.equal(by_file, network.predict(images))
    rows = torch.ones(len(files), dtype=torch.int64)
    with torch.no_grad():
        shown = (images.float() - 127.5) / 128
        both = [network.model(view, rows).softmax(1) for view in (shown, shown.flip(3))]
    torch.testing.assert_close(by_file, (both[0] + both[1]) / 2)
