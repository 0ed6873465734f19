import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Generator, Tensor

from dacn.data.augment import Augment, AugmentConfig, cut_out, shift_and_mirror, to_input

QUIET = {"shift": 0.0, "operations": 0, "cutout": 0.0}


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, height: int = 8, width: int = 8) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=seeded(7))


def digits(count: int) -> Tensor:
    """Grey: a white bar on black."""
    images = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
    images[:, :, 1:7, 3:5] = 255
    return images


def crops_found(image: Tensor, results: Tensor, furthest: int) -> list[tuple[int, int, bool]]:
    """For each result, the one (row shift, column shift, mirrored) that gives it from the reflected image."""
    padded = np.pad(image.numpy(), ((0, 0), (furthest, furthest), (furthest, furthest)), mode="reflect")
    height, width = image.shape[1:]
    found = []
    for result in results.numpy():
        matches = [
            (i - furthest, j - furthest, mirrored)
            for i in range(2 * furthest + 1)
            for j in range(2 * furthest + 1)
            for mirrored in (False, True)
            if (result == padded[:, i : i + height, j : j + width][..., :: -1 if mirrored else 1]).all()
        ]
        assert len(matches) == 1
        found += matches
    return found


def test_to_input_is_the_networks_scale() -> None:
    images = torch.arange(3 * 256).remainder(256).byte().view(1, 3, 16, 16)
    result = to_input(images)
    np.testing.assert_allclose(result, (images.numpy().astype(np.float64) - 127.5) / 128, atol=1e-7)
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("flips", [False, True])
def test_shift_is_a_reflected_crop_and_mirrors_only_where_allowed(flips: bool) -> None:
    image = noise(1, 8, 12)[0]
    results = shift_and_mirror(image.expand(600, -1, -1, -1), 0.17, flips, seeded())
    found = crops_found(image, results, 2)
    rows = {row for row, _, _ in found}
    columns = {column for _, column, _ in found}
    assert rows == {-1, 0, 1}  # 0.17 of 8
    assert columns == {-2, -1, 0, 1, 2}  # 0.17 of 12
    assert len({(row, column) for row, column, _ in found}) == 15
    mirrored = sum(mirrored for _, _, mirrored in found)
    assert (240 < mirrored < 360) if flips else mirrored == 0


def test_shift_keeps_each_image_in_its_row() -> None:
    images = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(40, 3, 8, 8)
    assert torch.equal(shift_and_mirror(images, 0.5, True, seeded()), images)


def test_weak_is_the_shifted_image_on_the_networks_scale() -> None:
    images = noise(16)
    result = Augment(AugmentConfig(), flips=True).weak(images, seeded())
    expected = to_input(shift_and_mirror(images, 0.125, True, seeded()))
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)
    assert not torch.equal(expected, to_input(images))
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_strong_with_everything_off_is_the_image() -> None:
    images = noise(16)
    result = Augment(AugmentConfig(**QUIET), flips=False).strong(images, seeded())
    torch.testing.assert_close(result, to_input(images), atol=1e-5, rtol=0)


def test_strong_draws_for_each_image_and_stays_in_range() -> None:
    images = noise(1, 16, 20).expand(64, -1, -1, -1)
    result = Augment(AugmentConfig(), flips=True).strong(images, seeded())
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert result.abs().max() <= 127.5 / 128 + 1e-5
    assert len(result.flatten(1).unique(dim=0)) == 64


def test_strong_colours_before_it_warps_so_that_uncovered_ground_is_mid_grey() -> None:
    config = AugmentConfig(shift=0, operations=6, cutout=0)
    result = Augment(config, flips=False).strong(digits(64) // 2 + 20, seeded())
    corners = result[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]  # (B, 3, 4)
    assert (corners == 0).all(1).any(1).float().mean() > 0.3


def test_cutout_is_a_grey_square_of_random_side_and_place() -> None:
    result = cut_out(torch.ones(3000, 3, 12, 20), 0.5, seeded())
    centres, sides = set(), set()
    for hole in (result == 0).numpy():
        assert (hole == hole[0]).all()  # the same in all channels
        rows, columns = np.flatnonzero(hole[0].any(1)), np.flatnonzero(hole[0].any(0))
        assert hole[0].sum() == len(rows) * len(columns)
        if len(rows) == 0:
            sides.add(0)
            continue
        assert len(rows) == np.ptp(rows) + 1
        assert len(columns) == np.ptp(columns) + 1
        inside = rows[0] > 0 and rows[-1] < 11 and columns[0] > 0 and columns[-1] < 19
        if inside:
            assert len(rows) == len(columns)
            sides.add(len(rows))
        centres.add((rows[0] + len(rows) // 2, columns[0] + len(columns) // 2))
    assert sides == set(range(7))  # up to half of 12
    assert len(centres) > 200  # of 240


def test_cutout_may_be_off() -> None:
    images = torch.rand(50, 3, 8, 8)
    assert torch.equal(cut_out(images, 0.0, seeded()), images)


@pytest.mark.parametrize("appearance", [False, True])
def test_views_follow_from_the_generator_alone(appearance: bool) -> None:
    augment = Augment(AugmentConfig(appearance=appearance), flips=True)
    for views in (augment.source_views, augment.target_views):
        first, again, other = (views(digits(32), seeded(seed)) for seed in (1, 1, 2))
        assert torch.equal(first.weak, again.weak)
        assert torch.equal(first.strong, again.strong)
        assert not torch.equal(first.weak, other.weak)
        assert not torch.equal(first.strong, other.strong)


def test_views_leave_the_images_alone() -> None:
    images = noise(32)
    before = images.clone()
    augment = Augment(AugmentConfig(appearance=True), flips=True)
    augment.source_views(images, seeded())
    augment.target_views(images, seeded())
    assert torch.equal(images, before)


def test_appearance_is_off_by_default_and_then_grey_sources_stay_grey() -> None:
    for view in Augment(AugmentConfig(), flips=False).source_views(digits(32), seeded()):
        torch.testing.assert_close(view, view[:, :1].expand_as(view), atol=1e-5, rtol=0)


def test_appearance_recolours_a_grey_source_in_both_views() -> None:
    augment = Augment(AugmentConfig(**QUIET, appearance=True), flips=False)
    weak, strong = augment.source_views(digits(64), seeded())
    for view in (weak, strong):
        assert ((view - view[:, :1]).abs().amax((1, 2, 3)) > 0.01).all()  # none is grey any more
        assert (view[:, :, 4, 4] - view[:, :, 0, 0]).abs().amax(1).min() > 0.1  # and each figure is visible
    assert ((weak - strong).abs().amax((1, 2, 3)) > 0.01).all()  # by two draws


def test_appearance_recolours_grey_images_alone_and_varies_the_strong_views_intensity() -> None:
    augment = Augment(AugmentConfig(**QUIET, appearance=True), flips=False)
    images = digits(64)
    images[::2, 2] = 200  # every other image has a colour of its own
    weak, strong = augment.source_views(images, seeded())
    torch.testing.assert_close(weak[::2], to_input(images[::2]), atol=1e-6, rtol=0)
    assert ((weak[1::2] - to_input(images[1::2])).abs().amax((1, 2, 3)) > 0.01).all()
    assert ((strong - weak).abs().amax((1, 2, 3)) > 1e-3).all()


def test_appearance_leaves_the_targets_weak_view_clean() -> None:
    augment = Augment(AugmentConfig(**QUIET, appearance=True), flips=False)
    images = digits(64)
    weak, strong = augment.target_views(images, seeded())
    torch.testing.assert_close(weak, to_input(images), atol=1e-6, rtol=0)
    torch.testing.assert_close(strong, strong[:, :1].expand_as(strong), atol=1e-5, rtol=0)  # never recoloured
    inverted = strong[:, 0, 4, 4] < strong[:, 0, 0, 0]
    assert 16 < inverted.sum().item() < 48


@pytest.mark.parametrize(
    "wrong", [{"shift": 0.6}, {"operations": 7}, {"magnitude": 0}, {"cutout": 1.5}, {"appearence": True}], ids=str
)
def test_config_refuses_what_is_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        AugmentConfig(**wrong)
