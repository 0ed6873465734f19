import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Generator, Tensor

from dacn.data.views.augment import Augment, AugmentConfig, cut_out, shift_and_mirror, to_input
from dacn.data.views.colours import apply_colour
from dacn.data.views.operations import affine_matrices, draw_operations, sampling_grid, warp

QUIET = {"shift": 0.0, "operations": 0, "cutout": 0.0}
NOBODY = torch.zeros(0, 3, 8, 8, dtype=torch.uint8)


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
    found = [crops_that_give(result, image, furthest) for result in results]
    assert {len(matches) for matches in found} == {1}
    return [match for (match,) in found]


def crops_that_give(result: Tensor, image: Tensor, furthest: int) -> list[tuple[int, int, bool]]:
    padded = np.pad(image.numpy(), ((0, 0), (furthest, furthest), (furthest, furthest)), mode="reflect")
    height, width = image.shape[1:]
    return [
        (i - furthest, j - furthest, mirrored)
        for i in range(2 * furthest + 1)
        for j in range(2 * furthest + 1)
        for mirrored in (False, True)
        if (result.numpy() == padded[:, i : i + height, j : j + width][..., :: -1 if mirrored else 1]).all()
    ]


def test_to_input_is_the_networks_scale() -> None:
    images = torch.arange(3 * 256).remainder(256).byte().view(1, 3, 16, 16)
    result = to_input(images)
    np.testing.assert_allclose(result, (images.numpy().astype(np.float64) - 127.5) / 128, atol=1e-7)


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
    assert torch.equal(shift_and_mirror(images, 0.5, True, seeded(), views=2), images.repeat(2, 1, 1, 1))


def test_views_of_an_image_are_shifted_and_mirrored_apart() -> None:
    image = noise(1, 8, 12)[0]
    results = shift_and_mirror(image.expand(200, -1, -1, -1), 0.17, True, seeded(), views=2)
    pairs = [*zip(*(crops_found(image, view, 2) for view in results.chunk(2)), strict=True)]
    alike = sum(one == other for one, other in pairs)
    assert alike < 30  # 200 / (3 * 5 * 2) by chance


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("height", "width", "shift"), [(1, 1, 0.5), (2, 3, 0.5), (5, 4, 0.0)])
def test_shift_of_images_of_few_pixels(height: int, width: int, shift: float, dtype: torch.dtype) -> None:
    image = torch.arange(1, 1 + height * width).view(1, height, width).to(dtype)
    results = shift_and_mirror(image.expand(20, -1, -1, -1), shift, False, seeded())
    furthest = int(shift * max(height, width))
    assert all(crops_that_give(result, image, furthest) for result in results)


def test_weak_is_the_shifted_image() -> None:
    images = noise(16)
    result = Augment(AugmentConfig(), flips=True).weak(images, seeded())
    expected = shift_and_mirror(images, 0.125, True, seeded())
    assert torch.equal(result, expected)
    assert not torch.equal(expected, images)


def test_views_are_on_the_networks_scale() -> None:
    images = noise(16)
    for views in Augment(AugmentConfig(**QUIET), flips=False).views(images, images, seeded()):
        torch.testing.assert_close(views.weak, to_input(images), atol=1e-6, rtol=0)


def test_strong_with_everything_off_is_the_image() -> None:
    images = noise(16)
    result = Augment(AugmentConfig(**QUIET), flips=False).strong(images / 255, seeded())
    torch.testing.assert_close(result, to_input(images), atol=1e-5, rtol=0)


def test_strong_draws_for_each_image_and_stays_in_range() -> None:
    images = noise(1, 16, 20).expand(64, -1, -1, -1)
    result = Augment(AugmentConfig(), flips=True).strong(images / 255, seeded())
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.abs().max() <= 127.5 / 128 + 1e-5
    assert len(result.flatten(1).unique(dim=0)) == 64


def test_strong_colours_before_it_warps_so_that_uncovered_ground_is_mid_grey() -> None:
    config = AugmentConfig(shift=0, operations=6, cutout=0)
    result = Augment(config, flips=False).strong((digits(64) // 2 + 20) / 255, seeded())
    corners = result[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]  # (B, 3, 4)
    assert (corners == 0).all(1).any(1).float().mean() > 0.3


def test_cutout_is_a_grey_square_of_random_side_and_place() -> None:
    still = torch.eye(2, 3).expand(3000, 2, 3)
    result = warp(torch.ones(3000, 3, 12, 20), cut_out(sampling_grid(still, 12, 20), 0.5, seeded()))
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


def test_the_full_cutout_has_one_side() -> None:
    still = torch.eye(2, 3).expand(3000, 2, 3)
    result = warp(torch.ones(3000, 3, 12, 20), cut_out(sampling_grid(still, 12, 20), 0.5, seeded(), full=True))
    centres = set()
    for hole in (result[:, 0] == 0).numpy():
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        # Six by six about a centre that may be any pixel; what reaches over the border is missing.
        top, left = (side[0] if side[0] else side[-1] - 5 for side in (rows, columns))
        assert rows.tolist() == [i for i in range(top, top + 6) if 0 <= i < 12]
        assert columns.tolist() == [j for j in range(left, left + 6) if 0 <= j < 20]
        centres.add((top + 3, left + 3))
    assert len(centres) == 240


def test_the_strong_view_does_what_the_options_say() -> None:
    """FixMatch's own form, against the parts put together by hand from the same draws."""
    options = {"probability": 0.5, "shear": "corner", "cutout_side": "full", "shift": 0}
    images = torch.rand(40, 3, 8, 12)
    result = Augment(AugmentConfig.model_validate(options), flips=False).strong(images.clone(), seeded())
    generator = seeded()
    draws = draw_operations(2, 40, 1.0, generator, probability=0.5)
    coloured = (255 * apply_colour(images.clone(), draws.drawn, draws.amounts.abs()) - 127.5) / 128
    grid = cut_out(sampling_grid(affine_matrices(draws, corner=8 / 12), 8, 12), 0.5, generator, full=True)
    torch.testing.assert_close(result, warp(coloured, grid), atol=1e-5, rtol=1e-5)


def test_cutout_may_be_off() -> None:
    grid = torch.rand(50, 2, 8, 8)
    assert torch.equal(cut_out(grid.clone(), 0.0, seeded()), grid)


def test_cutout_hides_what_any_matrix_would_bring_back() -> None:
    config = AugmentConfig(shift=0, operations=6, magnitude=1, cutout=1)
    cut, whole = (
        Augment(config.model_copy(update={"cutout": share}), flips=False).strong(torch.ones(500, 3, 8, 8), seeded())
        for share in (1.0, 0.0)
    )
    assert ((cut == whole) | (cut == 0)).all()
    assert 0.1 < ((cut == 0) & (whole != 0)).float().mean().item() < 0.4


@pytest.mark.parametrize("appearance", [False, True])
def test_views_follow_from_the_generator_alone(appearance: bool) -> None:
    augment = Augment(AugmentConfig(appearance=appearance), flips=True)
    first, again, other = (augment.views(digits(32), digits(16), seeded(seed)) for seed in (1, 1, 2))
    for domain in (0, 1):
        assert first[domain].weak.shape == first[domain].strong.shape == ((32, 16)[domain], 3, 8, 8)
        assert torch.equal(first[domain].weak, again[domain].weak)
        assert torch.equal(first[domain].strong, again[domain].strong)
        assert not torch.equal(first[domain].weak, other[domain].weak)
        assert not torch.equal(first[domain].strong, other[domain].strong)


@pytest.mark.parametrize("strong", [True, False])
@pytest.mark.parametrize("appearance", [False, True])
def test_each_view_shows_its_own_image(appearance: bool, strong: bool) -> None:
    """Flat colours, none of them grey, tell which image it was; intensity moves those of strong views."""
    levels = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1) * 30
    images = levels.expand(8, 3, 8, 8).clone()
    images[:, 0] = 255 - images[:, 0]
    augment = Augment(AugmentConfig(**QUIET, appearance=appearance), flips=False)
    views = augment.views(images[:5], images[5:], seeded(), strong=strong)
    torch.testing.assert_close(torch.cat([views[0].weak, views[1].weak]), to_input(images), atol=1e-6, rtol=0)
    for view, own in zip(views, (images[:5], images[5:]), strict=True):
        assert (view.strong is view.weak) == (not strong)
        centred = to_input(own) - to_input(own).mean((1, 2, 3), keepdim=True)
        shown = view.strong - view.strong.mean((1, 2, 3), keepdim=True)
        slope = (shown * centred).flatten(1).sum(1) / (centred**2).flatten(1).sum(1)
        torch.testing.assert_close(shown, slope[:, None, None, None] * centred, atol=1e-5, rtol=0)
        assert (slope.round(decimals=4) == 1).all() == (not (appearance and strong))


def test_views_leave_the_images_alone() -> None:
    images = noise(32)
    before = images.clone()
    Augment(AugmentConfig(appearance=True), flips=True).views(images, images, seeded())
    assert torch.equal(images, before)


def test_appearance_is_off_by_default_and_then_grey_sources_stay_grey() -> None:
    source, _ = Augment(AugmentConfig(), flips=False).views(digits(32), digits(8), seeded())
    for view in source:
        torch.testing.assert_close(view, view[:, :1].expand_as(view), atol=1e-5, rtol=0)


def test_appearance_recolours_a_grey_source_in_both_views() -> None:
    augment = Augment(AugmentConfig(**QUIET, appearance=True), flips=False)
    (weak, strong), _ = augment.views(digits(64), NOBODY, seeded())
    for view in (weak, strong):
        assert ((view - view[:, :1]).abs().amax((1, 2, 3)) > 0.01).all()  # none is grey any more
        assert (view[:, :, 4, 4] - view[:, :, 0, 0]).abs().amax(1).min() > 0.1  # and each figure is visible
    assert ((weak - strong).abs().amax((1, 2, 3)) > 0.01).all()  # by two draws


def test_appearance_recolours_grey_images_alone_and_varies_the_strong_views_intensity() -> None:
    augment = Augment(AugmentConfig(**QUIET, appearance=True), flips=False)
    images = digits(64)
    images[::2, 2] = 200  # every other image has a colour of its own
    (weak, strong), _ = augment.views(images, NOBODY, seeded())
    torch.testing.assert_close(weak[::2], to_input(images[::2]), atol=1e-6, rtol=0)
    assert ((weak[1::2] - to_input(images[1::2])).abs().amax((1, 2, 3)) > 0.01).all()
    assert ((strong - weak).abs().amax((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_one_byte_of_colour_is_not_grey(level: int) -> None:
    images = torch.full((6, 3, 8, 8), 128, dtype=torch.uint8)
    images[1:, 1, 3, 3], images[1:, 2, 3, 3] = level, 127
    augment = Augment(AugmentConfig(**QUIET, appearance=True), flips=False)
    (weak, _), _ = augment.views(images, NOBODY, seeded())
    torch.testing.assert_close(weak[1:], to_input(images[1:]), atol=1e-6, rtol=0)
    assert (weak[0] - to_input(images[:1])[0]).abs().amax() > 0.01


def test_appearance_leaves_the_targets_weak_view_clean() -> None:
    augment = Augment(AugmentConfig(**QUIET, appearance=True), flips=False)
    images = digits(64)
    _, (weak, strong) = augment.views(digits(5), images, seeded())
    torch.testing.assert_close(weak, to_input(images), atol=1e-6, rtol=0)
    torch.testing.assert_close(strong, strong[:, :1].expand_as(strong), atol=1e-5, rtol=0)  # never recoloured
    inverted = strong[:, 0, 4, 4] < strong[:, 0, 0, 0]
    assert 16 < inverted.sum().item() < 48


@pytest.mark.parametrize(
    "wrong",
    [
        {"shift": 0.6},
        {"operations": 7},
        {"magnitude": 0},
        {"cutout": 1.5},
        {"appearence": True},
        {"probability": 0},
        {"probability": 1.1},
        {"shear": "edge"},
        {"cutout_side": 3},
    ],
    ids=str,
)
def test_config_refuses_what_is_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        AugmentConfig(**wrong)
