import hashlib

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_images

from dacn.data.domain import Domain, DomainPair
from dacn.data.known.digits import BLENDINGS, digits


@pytest.fixture(scope="module")
def pair() -> DomainPair:
    return digits()


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def checksum(pair: DomainPair) -> str:
    total = hashlib.sha256()
    for domain in (pair.source, pair.target, pair.source_test, pair.target_test):
        assert domain is not None
        total.update(domain.images.numpy().tobytes())
        if domain.labels is not None:
            total.update(domain.labels.numpy().tobytes())
    return total.hexdigest()


def test_every_digit_stands_in_exactly_one_part(pair: DomainPair) -> None:
    assert pair.source_test is not None
    train, test = rows(pair.source.images), rows(pair.source_test.images)
    assert len(train) == len(pair.source)  # no digit is in scikit-learn's set twice
    assert not train & test
    assert len(train) + len(test) == 1797


def test_blended_digits_are_those_of_the_same_part(pair: DomainPair) -> None:
    """A blending undone with some patch gives the digit back, so the black margin shows the patch itself."""
    assert pair.source_test is not None
    assert pair.target_test is not None
    assert len(pair.target) == BLENDINGS * len(pair.source)
    assert len(pair.target_test) == BLENDINGS * len(pair.source_test)
    for plain, blended in ((pair.source, pair.target), (pair.source_test, pair.target_test)):
        for index in (0, 7, 101):
            digit, mixed = plain.images[index], blended.images[index]
            patch = find_patch(mixed)
            assert torch.equal((patch.int() - digit.int()).abs().to(torch.uint8), mixed)


def find_patch(mixed: torch.Tensor) -> torch.Tensor:
    """Find the patch of a photograph whose upper and lower rows, where no digit reaches, are those of the image."""
    image = mixed.permute(1, 2, 0).numpy()  # (32, 32, 3)
    for photo in load_sample_images().images:
        corners = (photo[:-31, :-31] == image[0, 0]).all(axis=2) & (photo[31:, 31:] == image[31, 31]).all(axis=2)
        for top, left in np.argwhere(corners):
            patch = photo[top : top + 32, left : left + 32]
            if (patch[[0, 1, 30, 31]] == image[[0, 1, 30, 31]]).all():
                return torch.tensor(patch).permute(2, 0, 1)
    raise AssertionError("no photograph holds this margin")


def test_parts_are_stratified(pair: DomainPair) -> None:
    assert pair.source_test is not None
    assert pair.source_test.labels is not None
    all_counts = np.bincount(load_digits().target)
    assert torch.bincount(pair.source_test.labels).tolist() == [count // 4 for count in all_counts]


def test_source_keeps_the_images_of_scikit_learn(pair: DomainPair) -> None:
    original = load_digits()
    image = pair.source.images[0].float()  # (3, 32, 32)
    assert torch.equal(pair.source.images, pair.source.images[:, :1].expand_as(pair.source.images))
    assert not torch.equal(pair.target.images[:, :1], pair.target.images[:, 1:2])
    assert (image[:, :2] == 0).all()
    assert (image[:, :, -2:] == 0).all()
    small = torch.nn.functional.adaptive_avg_pool2d(image[:1, 2:30, 2:30], 8)[0] * 16 / 255
    assert (small - torch.tensor(original.images[0])).abs().mean() < 2.0  # another digit: about 5
    assert pair.source.labels is not None
    assert pair.source.labels[0] == original.target[0]


def test_target_labels_are_dropped_and_digits_are_never_mirrored(pair: DomainPair) -> None:
    assert pair.target.labels is None
    assert pair.flips is False
    assert pair.classes == tuple("0123456789")


def test_target_test_labels_follow_the_source(pair: DomainPair) -> None:
    assert pair.source_test is not None
    assert pair.target_test is not None
    assert pair.source_test.labels is not None
    assert pair.target_test.labels is not None
    assert pair.target_test.labels.tolist() == pair.source_test.labels.tolist() * BLENDINGS


def test_the_pair_is_the_same_every_time(pair: DomainPair) -> None:
    before = torch.random.get_rng_state()
    assert checksum(digits()) == checksum(pair)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_test_patches_are_other_draws(pair: DomainPair) -> None:
    assert pair.target_test is not None
    assert not rows(pair.target.images) & rows(pair.target_test.images)


def test_image_size() -> None:
    pair = digits(16)
    for domain in (pair.source, pair.target, pair.source_test, pair.target_test):
        assert isinstance(domain, Domain)
        assert domain.images.shape[1:] == (3, 16, 16)
