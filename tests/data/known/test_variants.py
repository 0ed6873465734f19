import colorsys

import numpy as np
import pytest
import torch

from dacn.data.known.names import VARIANTS
from dacn.data.known.variants import apply_variant

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8))


def made(variant: str, images: torch.Tensor = IMAGES) -> np.ndarray:
    return apply_variant(images, variant).numpy()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_keeps_shape_and_bytes(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = apply_variant(IMAGES, variant)
    assert (whole.dtype, whole.shape) == (torch.uint8, IMAGES.shape)
    assert not torch.equal(whole, IMAGES)
    monkeypatch.setattr("dacn.data.known.variants._CHUNK", 2)
    assert torch.equal(apply_variant(IMAGES, variant), whole)


def test_grey_is_luma() -> None:
    image = IMAGES.numpy().astype(float)
    luma = 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]
    for channel in range(3):
        assert np.abs(made("grey")[:, channel] - luma).max() <= 0.5 + 1e-9


def test_inverted_twice_is_the_image() -> None:
    assert torch.equal(apply_variant(apply_variant(IMAGES, "inverted"), "inverted"), IMAGES)


def test_hue_turns_by_a_third_and_keeps_the_rest() -> None:
    before, after = (x.permute(0, 2, 3, 1).reshape(-1, 3) / 255 for x in (IMAGES, apply_variant(IMAGES, "hue")))
    for old, new in zip(before.tolist(), after.tolist(), strict=True):
        (h, s, v), (h2, s2, v2) = colorsys.rgb_to_hsv(*old), colorsys.rgb_to_hsv(*new)
        assert (h2 - h - 1 / 3 + 0.5) % 1 == pytest.approx(0.5, abs=1e-4)
        assert (s2, v2) == pytest.approx((s, v))


def test_a_sketch_draws_the_edge_and_leaves_the_rest_white() -> None:
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    image[:, :, :, 8:] = 200
    drawn = made("sketched", image)[0, 0]
    assert (drawn[:, 7:9] == 0).all()
    assert (drawn[:, :5] == 255).all()
    assert (drawn[:, 11:] == 255).all()


def test_a_flat_image_is_a_blank_sheet() -> None:
    noise = 100 + IMAGES % 2
    assert made("sketched", noise).min() > 200
    assert (made("sketched", torch.full_like(IMAGES, 90)) == 255).all()
