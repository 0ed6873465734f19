"""What `dacn bench` says of decoding, views and step: rates, and which one limits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dacn.bench import decoding
from dacn.bench.decoding import measure_throughput
from dacn.bench.setting import setting_of
from dacn.recipe.recipe import parse_recipe

STEP = {"milliseconds": 100.0, "images": 50}
SHARES = {"sampling": 10.0, "weak": 15.0, "strong": 25.0, "forwards": 20.0, "backward": 30.0}


@pytest.fixture(autouse=True)
def few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "FILES", 3)


def measured(data: dict[str, Any], shares: dict[str, float] = SHARES) -> dict[str, Any]:
    return measure_throughput(parse_recipe({"data": data}, "test"), STEP, shares)


def test_views_and_step_are_what_the_shares_of_a_step_say() -> None:
    result = measured({"pair": "digits", "image_size": 8})
    assert result["views"] == pytest.approx(50 / 0.04)
    assert result["step"] == pytest.approx(50 / 0.05)
    assert result["limits"] == "step"
    assert result["of"] == "made-up JPEGs of 500x375"
    assert result["images"] is None
    assert min(result["decode"], result["read"], result["workers"]) > 0
    assert measured({"pair": "digits", "image_size": 8}, SHARES | {"weak": 50, "forwards": 0})["limits"] == "views"


def test_the_recipes_own_files_are_decoded_where_they_are(tmp_path: Path) -> None:
    for index in range(9):
        file = tmp_path / "photos" / f"class{index % 2}" / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(file)
    data = {"source": {"folder": tmp_path / "photos"}, "target": {"folder": tmp_path / "photos"}, "image_size": 8}
    assert measured(data)["of"] == "3 of the recipe's files"
    assert measured({**data, "source": {"folder": tmp_path / "gone"}})["of"].startswith("made-up")


@pytest.mark.parametrize(
    ("more", "images", "stage"),
    [
        ({}, "decoded while training", "decode"),
        ({"cache": "cache"}, "cached", "read"),
        ({"resident_mb": 100_000}, "in memory", "views"),
    ],
)
def test_what_a_run_does_not_do_does_not_limit_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: dict[str, Any], images: str, stage: str
) -> None:
    rates = {"workers": 1, "decode": 1.0, "read": 2.0}
    monkeypatch.setattr(decoding, "_decoding", lambda files, config: dict(rates))
    shares = SHARES | {"weak": 40.0, "forwards": 0.0, "backward": 25.0}
    result = measured({"pair": "visda2017", "root": tmp_path, "image_size": 224, "resize_size": 256, **more}, shares)
    assert (result["images"], result["limits"]) == (images, stage)


def test_made_up_images_have_a_border_where_the_recipe_asks_for_it() -> None:
    tree = {"data": {"pair": "visda2017", "image_size": 24, "resize_size": 32}}
    source = setting_of(parse_recipe(tree, "test")).pair.source
    assert (source.images.shape[2:], source.training_images.shape[2:]) == ((24, 24), (32, 32))
    large = setting_of(parse_recipe({"data": {"pair": "visda2017", "image_size": 400}}, "test")).pair
    assert len(large.source) < 2048
