"""Random resized crops: one sampling of the whole image, against torchvision's crop and resize of each box."""

import pytest
import torch
from pydantic import ValidationError
from torch import Generator, Tensor
from torchvision.transforms.functional import InterpolationMode, resized_crop

from dacn.data.views.augment import Augment, AugmentConfig, cut_out, to_input
from dacn.data.views.colours import apply_colour
from dacn.data.views.crop import draw_boxes, draw_windows, mirror, within
from dacn.data.views.operations import affine_matrices, draw_operations, sampling_grid, warp

QUIET = {"shift": 0.0, "operations": 0, "cutout": 0.0}
NOBODY = torch.zeros(0, 3, 24, 30, dtype=torch.uint8)


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, height: int = 24, width: int = 30) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=seeded(7))


def test_boxes_have_the_areas_and_aspects_that_are_asked_for_and_lie_inside() -> None:
    boxes = draw_boxes(4000, (0.3, 0.9), (24, 30), seeded())
    centres, shares = boxes[:, :2], boxes[:, 2:]
    assert ((centres.abs() + shares) <= 1 + 1e-6).all()
    areas, aspects = shares.prod(1), shares[:, 0] / shares[:, 1] * 30 / 24
    assert 0.3 <= areas.min() < 0.32
    assert 0.85 < areas.max() <= 0.9
    assert 0.75 - 1e-6 <= aspects.min() < 0.77
    assert 1.3 < aspects.max() <= 4 / 3 + 1e-6
    assert (centres.mean(0).abs() < 0.02).all()


def test_a_box_that_never_fits_is_all_of_the_image() -> None:
    boxes = draw_boxes(50, (1, 1), (10, 40), seeded())
    torch.testing.assert_close(boxes, torch.tensor([[0.0, 0, 1, 1]]).expand(50, 4))


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize(("height", "width"), [(24, 30), (32, 32)])
def test_a_crop_is_torchvisions_crop_and_resize(height: int, width: int, flips: bool) -> None:
    """Of boxes at whole pixels, without the outermost pixels, for which torchvision looks no further than the box."""
    shown, generator = images(40, height, width).float(), seeded()
    boxes = draw_windows(40, (height, width), (12, 16), generator)
    boxes = mirror(boxes, generator) if flips else boxes
    found = warp(shown, sampling_grid(within(boxes, torch.eye(2, 3)), 20, 20))
    for image, view, (x, y, across, down) in zip(shown, found, boxes.tolist(), strict=True):
        left, top = round((x + 1 - abs(across)) / 2 * width), round((y + 1 - down) / 2 * height)
        expected = resized_crop(image, top, left, 12, 16, [20, 20], InterpolationMode.BILINEAR, antialias=False)
        expected = expected.flip(2) if across < 0 else expected
        torch.testing.assert_close(view[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-3, rtol=1e-4)
    mirrored = int((boxes[:, 2] < 0).sum())
    assert (10 < mirrored < 30) if flips else mirrored == 0


def test_without_a_crop_views_are_windows_of_the_image_at_whole_pixels() -> None:
    whole = images(60)
    augment = Augment(AugmentConfig(**QUIET), flips=False, size=(20, 20))
    (weak, strong), _ = augment.views(whole, NOBODY, seeded())
    places = set()
    for view in (weak, strong):
        for image, shown in zip(to_input(whole), view, strict=True):
            windows = [(i, j) for i in range(5) for j in range(11)]
            (place,) = (w for w in windows if torch.allclose(image[:, w[0] :, w[1] :][:, :20, :20], shown, atol=1e-4))
            places.add(place)
    assert len(places) > 40  # of 55


def test_views_have_their_size_and_the_border_is_no_grey() -> None:
    augment = Augment(AugmentConfig(**QUIET, crop=(0.5, 1)), flips=True, size=(16, 16))
    white = torch.full((30, 3, 24, 30), 255, dtype=torch.uint8)
    source, target = augment.views(white[:20], white[20:], seeded(), strong=False)
    assert source.weak.shape == (20, 3, 16, 16)
    assert target.weak.shape == (10, 3, 16, 16)
    torch.testing.assert_close(source.weak, torch.full_like(source.weak, 127.5 / 128), atol=1e-5, rtol=0)


def test_a_strong_view_samples_the_whole_image_once() -> None:
    whole = torch.rand(30, 3, 24, 24)
    augment = Augment(AugmentConfig(crop=(0.4, 0.8)), flips=True, size=(16, 16))
    found = augment.strong(whole.clone(), seeded())
    generator = seeded()
    draws = draw_operations(2, 30, 1.0, generator)
    coloured = (255 * apply_colour(whole.clone(), draws.drawn, draws.amounts.abs()) - 127.5) / 128
    boxes = mirror(draw_boxes(30, (0.4, 0.8), (24, 24), generator), generator)
    # A view's position is turned first and lies in its box then: as two maps, one after the other.
    turned = sampling_grid(affine_matrices(draws), 16, 16)
    placed = turned * boxes[:, 2:, None, None] + boxes[:, :2, None, None]
    torch.testing.assert_close(found, warp(coloured, cut_out(placed, 0.5, generator)), atol=1e-5, rtol=1e-5)


def test_each_view_shows_its_own_image_and_follows_from_the_generator() -> None:
    levels = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1) * 20
    whole = levels.expand(12, 3, 24, 24).clone()
    augment = Augment(AugmentConfig(**QUIET, crop=(0.1, 1)), flips=True, size=(16, 16))
    views = augment.views(whole[:5], whole[5:], seeded())
    for own, weak in zip((whole[:5], whole[5:]), (views[0].weak, views[1].weak), strict=True):
        torch.testing.assert_close(weak, to_input(own)[:, :, :16, :16], atol=1e-5, rtol=0)
    noise = images(8, 24, 24)
    first, again, other = (augment.views(noise, noise[:3], seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0].strong, again[0].strong)
    assert not torch.equal(first[0].weak, other[0].weak)
    assert not torch.equal(first[0].weak, first[0].strong)


@pytest.mark.parametrize("crop", [[0, 1], [0.5, 1.2], [0.8, 0.5], [0.5]], ids=str)
def test_a_crop_that_is_no_share_is_refused(crop: list[float]) -> None:
    with pytest.raises(ValidationError, match="crop"):
        AugmentConfig.model_validate({"crop": crop})
