"""The embedded pair: handwritten digits, and the same digits blended with photographs. Nothing is downloaded."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dacn.data.domain import Domain, DomainPair
from dacn.data.fit import Pixels, fit_digits, fit_images
from dacn.data.read.identity import of_arrays
from dacn.data.read.torchvision_set import DIGITS

BLENDINGS = 4
"""Target images made from each digit, each with its own patch of a photograph."""

_TEST_EVERY = 4


def digits(image_size: int = 32) -> DomainPair:
    """Return the pair ``digits``: a real gap that a small network can close within minutes on a CPU.

    *Source*: scikit-learn's 1,797 handwritten digits, 8x8 enlarged to 28, padded to 32, grey. *Target*: those digits
    blended with patches of the two photographs that scikit-learn ships, ``abs(patch - digit)``; four blendings of each
    digit. So MNIST-M is made from MNIST, but for the shades: there, every pixel of a digit counts at full strength.

    Every fourth digit of each class is a test digit, which stands in no training set of either domain. The remaining
    digits are shared: each is in the source's training set (with its label) and in the target's (blended, without it).
    Test digits are likewise shared by both test sets. The test patches are drawn anew from the same photographs.

    >>> pair = digits()
    >>> len(pair.source), len(pair.target), len(pair.source_test), len(pair.target_test)
    (1352, 5408, 445, 1780)

    Args:
        image_size: pixels of both sides; another value than 32 resizes the finished images.

    Reference: MNIST-M, Ganin et al. 2016 (arXiv 1505.07818).
    """
    parts = digit_domains(image_size)
    return DomainPair(
        name="digits",
        classes=DIGITS,
        source=parts["source"],
        target=parts["target"],
        source_test=parts["source_test"],
        target_test=parts["target_test"],
    )


def digit_domains(image_size: int) -> dict[str, Domain]:
    """Return the four parts of `digits` as they are made, each with its labels."""
    from sklearn.datasets import load_digits, load_sample_images

    handwritten = load_digits()
    ink = np.round(handwritten.images * (255 / 16)).astype(np.uint8)  # (N, 8, 8)
    labels: NDArray[Any] = handwritten.target  # (N,)
    photos = load_sample_images().images  # two of (427, 640, 3)
    test = _test_digits(labels)

    def plain(chosen: NDArray[np.bool_], name: str) -> Domain:
        own, drawn = torch.from_numpy(labels[chosen].astype(np.int64)), ink[chosen]
        return Domain(name, fit_digits(drawn, image_size), own, DIGITS, fit="digits", identity=of_arrays(drawn))

    def blended(chosen: NDArray[np.bool_], name: str, seed: int) -> Domain:
        grey = fit_digits(ink[chosen], 32).numpy().transpose(0, 2, 3, 1)  # (N, 32, 32, 3)
        grey = np.tile(grey, (BLENDINGS, 1, 1, 1))
        images = _blend(grey, photos, np.random.default_rng(seed))
        repeated = torch.from_numpy(np.tile(labels[chosen], BLENDINGS).astype(np.int64))
        return Domain(name, fit_images(images, image_size), repeated, DIGITS, identity=of_arrays(images))

    return {
        "source": plain(~test, "digits"),
        "target": blended(~test, "digits_photo", seed=0),
        "source_test": plain(test, "digits"),
        "target_test": blended(test, "digits_photo", seed=1),
    }


def _test_digits(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark every fourth digit of each class, in scikit-learn's order, so that all of its writers are in both parts."""
    test = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[_TEST_EVERY - 1 :: _TEST_EVERY]] = True
    return test


def _blend(grey: Pixels, photos: list[Pixels], random: np.random.Generator) -> Pixels:
    """Return ``abs(patch - digit)`` with a random patch for each of the digits ``(N, H, W, 3)``."""
    count, height, width, _ = grey.shape
    blended = np.empty_like(grey)
    for index in range(count):
        photo = photos[random.integers(len(photos))]
        top, left = random.integers(photo.shape[0] - height + 1), random.integers(photo.shape[1] - width + 1)
        patch = photo[top : top + height, left : left + width].astype(np.int16)
        blended[index] = np.abs(patch - grey[index])
    return blended
