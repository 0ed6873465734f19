import numpy as np
import pytest
import torch

from dacn.data.inspect import image_summary
from dacn.data.inspect.image_summary import SIDE, summarize_images
from dacn.data.read.images import MemoryImage, Streamed


def noise(count: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator).byte()


def test_channels_against_numpy() -> None:
    images = noise(300)
    seen = summarize_images(images)
    pixels = images.permute(1, 0, 2, 3).reshape(3, -1).numpy().astype(float)
    assert seen.mean == pytest.approx(pixels.mean(axis=1), abs=0.01)
    assert seen.std == pytest.approx(pixels.std(axis=1), abs=0.01)


def test_pooled_images_against_plain_means() -> None:
    images = noise(3)
    blocks = images.numpy().reshape(3, 3, SIDE, 2, SIDE, 2).mean(axis=(3, 5))
    assert np.abs(summarize_images(images).pooled - blocks).max() <= 0.5


def test_grey_images_are_counted() -> None:
    images = noise(4)
    images[1] = images[1, :1]
    assert summarize_images(images).grey == 0.25


def test_equal_images_have_equal_digests() -> None:
    images = noise(300)
    images[290] = images[3]
    digests = summarize_images(images).digests
    assert digests[290] == digests[3]
    assert len({*digests}) == 299


def test_files_and_memory_agree() -> None:
    images = noise(20)
    files = summarize_images(Streamed([MemoryImage(images, row) for row in range(20)], 32))
    held = summarize_images(images)
    assert np.array_equal(files.pooled, held.pooled)
    assert (files.digests, files.mean, files.std, files.grey) == (held.digests, held.mean, held.std, held.grey)


def test_of_many_images_some_are_pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(600)
    every = summarize_images(images)
    monkeypatch.setattr(image_summary, "MOST", 7)
    some = summarize_images(images)
    assert some.rows.tolist() == [0, 99, 199, 299, 399, 499, 599]
    assert np.array_equal(some.pooled, every.pooled[some.rows])
    assert some.digests == every.digests
