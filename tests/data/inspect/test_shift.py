import numpy as np
import pytest
import torch

from dacn.data.inspect.image_summary import ImageSummary, summarize_images
from dacn.data.inspect.shift import label_distance, proxy_a_distance


def noise(count: int, seed: int, brighter: int = 0) -> ImageSummary:
    generator = torch.Generator().manual_seed(seed)
    return summarize_images((torch.randint(0, 200, (count, 3, 16, 16), generator=generator) + brighter).byte())


def test_one_distribution_has_no_distance() -> None:
    distance = proxy_a_distance(noise(1000, 0), noise(700, 1))
    assert distance is not None
    assert distance < 0.25


def test_distributions_apart_have_all_of_it() -> None:
    assert proxy_a_distance(noise(60, 0), noise(200, 1, brighter=50)) == 2


def test_a_shift_between_is_between() -> None:
    """Half of the second domain is the first one's kind: at best three in four are told rightly, which is 1."""
    generator = torch.Generator().manual_seed(0)
    dark = torch.randint(0, 100, (800, 3, 16, 16), generator=generator)
    mixed = torch.cat([dark[400:], torch.randint(100, 200, (400, 3, 16, 16), generator=generator)])
    distance = proxy_a_distance(summarize_images(dark.byte()[:800]), summarize_images(mixed.byte()))
    assert distance is not None
    assert distance == pytest.approx(1.0, abs=0.25)


def test_too_few_images_have_none() -> None:
    assert proxy_a_distance(noise(4, 0), noise(100, 1)) is None


def test_it_is_repeatable() -> None:
    first, second = noise(50, 0), noise(50, 1, brighter=5)
    assert proxy_a_distance(first, second, seed=3) == proxy_a_distance(first, second, seed=3)


def test_class_shares() -> None:
    assert label_distance(np.array([3, 1]), np.array([30, 10])) == 0
    assert label_distance(np.array([3, 0]), np.array([0, 9])) == 1
    assert label_distance(np.array([1, 1, 2]), np.array([2, 1, 1])) == pytest.approx(0.25)
