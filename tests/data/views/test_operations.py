import math
from collections import Counter

import numpy as np
import pytest
import torch
from kornia import enhance
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from dacn.data.views.colours import COLOUR, apply_colour
from dacn.data.views.operations import (
    GEOMETRIC,
    OPERATIONS,
    Draws,
    affine_matrices,
    draw_operations,
    sampling_grid,
    warp,
)


def photos(count: int, height: int = 32, width: int = 32) -> Tensor:
    """Smooth random bytes, each image and channel with a range of its own."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    low = torch.rand(count, 3, 1, 1, generator=generator) * 0.4
    return (255 * (low + fine * (0.9 - low))).byte()


def draws_of(amounts: dict[str, float], count: int = 1) -> Draws:
    """The same operations for each of ``count`` images."""
    drawn, values = torch.zeros(len(OPERATIONS), count, dtype=torch.bool), torch.ones(len(OPERATIONS), count)
    for name, amount in amounts.items():
        drawn[OPERATIONS.index(name)], values[OPERATIONS.index(name)] = True, amount
    return Draws(drawn, values)


def applied(name: str, images: Tensor, strengths: Tensor) -> Tensor:
    """One colour operation on all images, each at its own strength."""
    draws = draws_of({name: 1.0}, count=len(images))
    return apply_colour(images.clone(), draws.drawn, strengths.expand(len(OPERATIONS), -1))


PILLOW = {
    "equalize": lambda image, s: tv.equalize(image),
    "autocontrast": lambda image, s: tv.autocontrast(image),
    "brightness": lambda image, s: tv.adjust_brightness(image, 0.95 - 0.9 * s),
    "colour": lambda image, s: tv.adjust_saturation(image, 0.95 - 0.9 * s),
    "contrast": lambda image, s: tv.adjust_contrast(image, 0.95 - 0.9 * s),
    "posterize": lambda image, s: tv.posterize(image, 8 - min(4, int(5 * s))),
    "sharpness": lambda image, s: tv.adjust_sharpness(image, 0.95 - 0.9 * s),
    "solarize": lambda image, s: tv.solarize(image, 255 * (1 - s)),
}


@pytest.mark.parametrize("name", COLOUR)
def test_a_colour_operation_is_pillows(name: str) -> None:
    strengths = torch.tensor([0.0, 0.27, 0.5, 0.81, 1.0])
    images = photos(5)
    ours = 255 * applied(name, images / 255, strengths)
    exact = name in {"equalize", "posterize", "solarize"}
    for image, result, strength in zip(images, ours, strengths, strict=True):
        pillow = PILLOW[name](Image.fromarray(image.permute(1, 2, 0).numpy()), float(strength))
        expected = torch.from_numpy(np.array(pillow)).permute(2, 0, 1).float()
        # Pillow rounds to bytes, and its grey and its mean are bytes too.
        assert (result - expected).abs().max() < (1e-3 if exact else 2)


KORNIA = {
    "equalize": lambda images, s: enhance.equalize(images),
    "brightness": lambda images, s: enhance.adjust_brightness_accumulative(images, 0.95 - 0.9 * s),
    "colour": lambda images, s: enhance.adjust_saturation_with_gray_subtraction(images, 0.95 - 0.9 * s),
    "contrast": lambda images, s: enhance.adjust_contrast_with_mean_subtraction(images, 0.95 - 0.9 * s),
    "solarize": lambda images, s: enhance.solarize(images, 1 - s),
}


@pytest.mark.parametrize("name", KORNIA)
def test_a_colour_operation_is_kornias(name: str) -> None:
    strengths = torch.linspace(0, 1, 64)
    images = photos(64) / 255
    difference = (applied(name, images, strengths) - KORNIA[name](images, strengths)).abs()
    # Solarize: a pixel at the threshold may fall on either side of it.
    assert (difference > 1e-5).float().mean() < (1e-3 if name == "solarize" else 1e-9)


def test_colour_operations_follow_one_another_as_if_each_were_alone() -> None:
    images = photos(300) / 255
    draws = draw_operations(4, len(images), 1.0, torch.Generator().manual_seed(5))
    expected = images
    for index, name in enumerate(COLOUR):
        drawn = draws.drawn[index]
        alone = applied(name, expected, draws.amounts[index].abs())
        expected = torch.where(drawn[:, None, None, None], alone, expected)
    result = apply_colour(images.clone(), draws.drawn, draws.amounts.abs())
    # Rounding may push a pixel over a step of posterize or the threshold of solarize.
    assert ((result - expected).abs() > 1e-4).float().mean() < 1e-3


@pytest.mark.parametrize("name", COLOUR)
def test_a_colour_operation_changes_the_image_and_stays_in_range(name: str) -> None:
    images = photos(4) / 255
    result = applied(name, images, torch.full((4,), 0.7))
    assert (result - images).abs().amax((1, 2, 3)).min() > 0.01
    assert result.min() >= 0
    assert result.max() <= 1


def test_autocontrast_leaves_a_flat_channel_alone() -> None:
    images = torch.full((1, 3, 4, 4), 0.3)
    assert torch.equal(applied("autocontrast", images, torch.ones(1)), images)


def test_each_image_gets_its_own_colour_operations_in_order() -> None:
    images = photos(3) / 255
    draws = draws_of({}, count=3)
    for row, name in [(0, "solarize"), (2, "brightness"), (2, "equalize")]:
        draws.drawn[OPERATIONS.index(name), row] = True
    draws.amounts[:] = torch.tensor([-0.6, 0.1, 0.4])
    result = apply_colour(images.clone(), draws.drawn, draws.amounts.abs())
    torch.testing.assert_close(result[0], applied("solarize", images[:1], torch.tensor([0.6]))[0])
    assert torch.equal(result[1], images[1])
    equalized = applied("equalize", images[2:], torch.ones(1))
    torch.testing.assert_close(result[2], applied("brightness", equalized, torch.tensor([0.4]))[0])


def plain_warp(image: np.ndarray, amounts: dict[str, float], corner: bool = False) -> np.ndarray:
    """Shear, rotate and translate each output pixel's position in pixels, and interpolate there by hand."""
    height, width = image.shape[1:]
    to_corner = (width / 2, height / 2) if corner else (0, 0)  # from the centre to where the shears measure from
    amount = {name: amounts.get(name, 0.0) for name in GEOMETRIC}
    angle = math.radians(30) * amount["rotate"]
    result = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            x, y = column - (width - 1) / 2, row - (height - 1) / 2
            x, y = x + to_corner[0], y + to_corner[1]
            x, y = x + 0.3 * amount["shear_x"] * y, y + 0.3 * amount["shear_y"] * x
            x, y = x - to_corner[0], y - to_corner[1]
            x, y = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
            x, y = x + 0.3 * amount["translate_x"] * width, y + 0.3 * amount["translate_y"] * height
            x, y = x + (width - 1) / 2, y + (height - 1) / 2
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    if 0 <= i < height and 0 <= j < width:
                        result[:, row, column] += image[:, i, j] * (1 - abs(y - i)) * (1 - abs(x - j))
    return result


GEOMETRIC_DRAWS = [
    *({name: amount} for name in GEOMETRIC for amount in (-0.45, 1.0)),
    {"shear_x": 0.6, "shear_y": -0.9},
    {"shear_y": 0.7, "rotate": -1.0},
    {"rotate": 0.5, "translate_x": -0.8, "translate_y": 0.3},
    dict.fromkeys(GEOMETRIC, 0.4),
]


@pytest.mark.parametrize("amounts", GEOMETRIC_DRAWS, ids=str)
@pytest.mark.parametrize("size", [(8, 8), (6, 11)])
@pytest.mark.parametrize("corner", [False, True])
def test_geometric_operations_are_those_of_a_plain_loop(
    amounts: dict[str, float], size: tuple[int, int], corner: bool
) -> None:
    image = photos(1, *size) / 128 - 1
    matrices = affine_matrices(draws_of(amounts), corner=size[0] / size[1] if corner else None)
    result = warp(image, sampling_grid(matrices, *size))
    np.testing.assert_allclose(result[0], plain_warp(image[0].numpy(), amounts, corner), atol=1e-5)


@pytest.mark.parametrize("name", ["shear_x", "shear_y"])
@pytest.mark.parametrize("amount", [-0.8, 0.5])
def test_a_shear_about_the_corner_is_pillows(name: str, amount: float) -> None:
    """FixMatch's code hands these six numbers to Pillow; only the interpolation is its own."""
    image = photos(1, 24, 32)
    result = warp(image / 128 - 1, sampling_grid(affine_matrices(draws_of({name: amount}), corner=24 / 32), 24, 32))
    level = 0.3 * amount
    numbers = (1, level, 0, 0, 1, 0) if name == "shear_x" else (1, 0, 0, level, 1, 0)
    pillow = Image.fromarray(image[0].permute(1, 2, 0).numpy())
    expected = pillow.transform(pillow.size, Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR)
    covered = pillow.point(lambda _: 255).transform(pillow.size, Image.Transform.AFFINE, numbers)
    inside = np.asarray(covered).min(2) == 255  # uncovered ground is black there, grey here
    inside[:, [0, -1]] = inside[[0, -1]] = False
    difference = (np.asarray(expected) / 128 - 1 - result[0].permute(1, 2, 0).numpy())[inside]
    assert inside.mean() > 0.6
    assert (
        np.quantile(np.abs(difference), 0.97) < 2 / 128
    )  # but for the outermost pixels, which blend with either ground


def test_rotation_is_torchvisions() -> None:
    image = photos(1) / 128 - 1
    result = warp(image, sampling_grid(affine_matrices(draws_of({"rotate": 0.5})), *image.shape[2:]))
    expected = tv.rotate(image, 15, InterpolationMode.BILINEAR)
    centre = (..., slice(8, 24), slice(8, 24))
    torch.testing.assert_close(result[centre], expected[centre], atol=1e-5, rtol=0)


def test_undrawn_geometry_is_the_identity() -> None:
    images = photos(2) / 128 - 1
    matrices = affine_matrices(draws_of({"identity": 1.0, "solarize": 0.3}, count=2))
    assert torch.equal(matrices, torch.eye(2, 3).expand(2, 2, 3))
    torch.testing.assert_close(warp(images, sampling_grid(matrices, *images.shape[2:])), images, atol=1e-5, rtol=0)


def test_operations_are_drawn_uniformly_and_differ_within_an_image() -> None:
    images = 9100
    drawn = draw_operations(2, images, 1.0, torch.Generator().manual_seed(0)).drawn
    assert (drawn.sum(0) == 2).all()
    pairs = Counter(tuple(column.nonzero().flatten().tolist()) for column in drawn.T)
    expected = images / 91  # 14 operations make 91 pairs
    chi_square = sum((count - expected) ** 2 / expected for count in pairs.values())
    assert len(pairs) == 91
    assert chi_square < 90 + 5 * math.sqrt(2 * 90)


@pytest.mark.parametrize(("probability", "expected"), [(0.5, 0.93), (0.2, 0.37), (1.0, 1.86)])
def test_drawn_operations_act_with_their_probability(probability: float, expected: float) -> None:
    """Of two operations, one of fourteen being the identity: 0.9 on average in FixMatch's code, 1.9 without chance."""
    images = 20_000
    drawn = draw_operations(2, images, 1.0, torch.Generator().manual_seed(0), probability).drawn
    acting = drawn[: OPERATIONS.index("identity")].sum(0).float()
    assert acting.mean().item() == pytest.approx(expected, abs=0.02)
    both = (drawn.sum(0) == 2).float().mean().item()
    assert both == pytest.approx(probability**2, abs=0.015)  # each by itself
    assert (drawn.sum(0) <= 2).all()


@pytest.mark.parametrize("magnitude", [0.25, 1.0])
def test_amounts_are_uniform_up_to_the_magnitude(magnitude: float) -> None:
    amounts = draw_operations(2, 2000, magnitude, torch.Generator().manual_seed(0)).amounts.flatten()
    quantiles = torch.quantile(amounts, torch.linspace(0, 1, 5))
    expected = magnitude * torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    torch.testing.assert_close(quantiles, expected, atol=0.02 * magnitude, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_any_number_of_operations(count: int) -> None:
    assert (draw_operations(count, 50, 1.0, torch.Generator().manual_seed(0)).drawn.sum(0) == count).all()
