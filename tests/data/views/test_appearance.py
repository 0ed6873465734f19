import torch
from torch import Tensor

from dacn.data.views.appearance import draw_colours, paint, vary_intensity


def two_valued(count: int) -> Tensor:
    """Black ground with a white square, equal channels."""
    images = torch.zeros(count, 3, 6, 6)
    images[:, :, 2:4, 2:5] = 1
    return images


def recolour(images: Tensor) -> Tensor:
    everybody = torch.ones(len(images), dtype=torch.bool)
    return paint(255 * images, *draw_colours(everybody, torch.Generator().manual_seed(0)))


def test_who_is_not_painted_keeps_black_and_white() -> None:
    painted = torch.arange(40) % 3 == 0
    images = torch.rand(40, 3, 6, 6)
    result = paint(255 * images, *draw_colours(painted, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(result[~painted], images[~painted])
    assert torch.equal(result[painted], recolour(images)[painted])
    assert ((result - images).abs().amax((1, 2, 3)) > 0.01)[painted].all()


def test_recolour_gives_a_two_valued_image_two_distinct_colours() -> None:
    result = recolour(two_valued(500))
    ground, figure = result[:, :, 0, 0], result[:, :, 2, 2]  # (B, 3) each
    expected = torch.where(two_valued(500) == 1, figure[:, :, None, None], ground[:, :, None, None])
    torch.testing.assert_close(result, expected)
    assert (figure - ground).abs().amax(1).min() >= 0.25 - 1e-6
    assert (figure.mean(1) < ground.mean(1)).float().mean().item() > 0.4  # dark on light as often as light on dark


def test_recolour_draws_uniform_colours_for_each_image() -> None:
    result = recolour(two_valued(4000))
    for colours in (result[:, :, 0, 0], result[:, :, 2, 2]):
        quantiles = torch.quantile(colours, torch.linspace(0, 1, 5), dim=0)  # (5, 3)
        expected = torch.linspace(0, 1, 5)[:, None].expand(5, 3)
        torch.testing.assert_close(quantiles, expected, atol=0.03, rtol=0)


def test_recolour_puts_greys_in_between() -> None:
    images = torch.linspace(0, 1, 5).view(1, 1, 1, 5).repeat(8, 3, 2, 1)
    result = recolour(images)
    for level in range(5):
        expected = result[..., 0] + level / 4 * (result[..., 4] - result[..., 0])
        torch.testing.assert_close(result[..., level], expected)


def test_vary_intensity_inverts_scales_and_offsets_each_image() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2000, 3, 4, 4, generator=generator) * torch.rand(2000, 1, 1, 1, generator=generator)
    result = vary_intensity(images.clone(), generator)
    flat, out = (255 * images.flatten(1) - 127.5) / 128, result.flatten(1)  # (B, 48) each, with mid-grey at 0
    mean, deviation = flat.mean(1), flat.std(1, correction=0)
    slope = ((flat - mean[:, None]) * (out - out.mean(1, keepdim=True))).mean(1) / deviation**2
    torch.testing.assert_close(out - out.mean(1, keepdim=True), slope[:, None] * (flat - mean[:, None]))
    offset = (out.mean(1) - slope.sign() * mean) / deviation  # about mid-grey, then in standard deviations
    levels = torch.linspace(0, 1, 5)
    torch.testing.assert_close(torch.quantile(slope.abs(), levels), 0.25 + 1.25 * levels, atol=0.05, rtol=0)
    torch.testing.assert_close(torch.quantile(offset, levels), levels - 0.5, atol=0.05, rtol=0)
    assert 0.45 < (slope < 0).float().mean().item() < 0.55


def test_a_flat_image_stays_flat() -> None:
    result = vary_intensity(torch.full((20, 3, 4, 4), 0.25), torch.Generator().manual_seed(0))
    assert set(result.flatten().tolist()) == {-0.498046875, 0.498046875}  # (0.25 * 255 - 127.5) / 128
