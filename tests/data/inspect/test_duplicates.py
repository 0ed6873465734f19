import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dacn.data.inspect.duplicates import duplicates, exact_duplicates, near_duplicates
from dacn.data.inspect.image_summary import summarize_images


def pictures(count: int, seed: int) -> Tensor:
    """Smooth random pictures of 64x64."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return (255 * torch.nn.functional.interpolate(coarse, 64, mode="bilinear")).byte()


def resaved(image: Tensor, quality: int = 60, size: int = 56, gain: float = 1.1) -> Tensor:
    """The picture after a resize, a change of brightness and JPEG compression."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size)).point(lambda v: min(255, v * gain))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file).resize((64, 64)))).permute(2, 0, 1)


def test_the_same_bytes() -> None:
    first, second = pictures(20, 0), pictures(30, 1)
    second[4], second[29] = first[7], first[7]
    assert exact_duplicates(summarize_images(first), summarize_images(second)) == [(7, 4), (7, 29)]
    assert near_duplicates(summarize_images(first), summarize_images(second)) == []


def test_nearly_the_same_picture() -> None:
    first, second = pictures(200, 0), pictures(300, 1)
    second[4], second[5], second[6] = first[7], resaved(first[8]), resaved(first[150])
    assert near_duplicates(summarize_images(first), summarize_images(second)) == [(8, 5), (150, 6)]


def test_images_of_one_colour_are_no_pictures() -> None:
    first, second = torch.full((3, 3, 32, 32), 10).byte(), torch.full((3, 3, 32, 32), 11).byte()
    assert near_duplicates(summarize_images(first), summarize_images(second)) == []


@pytest.mark.parametrize("named", [True, False])
def test_the_report_names_examples(named: bool) -> None:
    parts = {"target": pictures(9, 0), "target_test": pictures(5, 1)}
    parts["target_test"][1], parts["target_test"][2] = parts["target"][3], resaved(parts["target"][4])
    files = {key: [f"{key}/{row}.png" for row in range(len(part))] if named else [] for key, part in parts.items()}
    found = duplicates("target", "target_test", {key: summarize_images(part) for key, part in parts.items()}, files)
    assert (found.between, found.of, found.exact, found.near) == (("target", "target_test"), 5, 1, 1)
    assert found.examples == (
        [("target/3.png", "target_test/1.png"), ("target/4.png", "target_test/2.png")]
        if named
        else [("image 3", "image 1"), ("image 4", "image 2")]
    )


def test_nothing_left_to_compare() -> None:
    images = summarize_images(pictures(3, 0))
    assert near_duplicates(images, images) == []
    assert exact_duplicates(images, images) == [(0, 0), (1, 1), (2, 2)]
