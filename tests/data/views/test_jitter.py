"""Colour jitter: every image against torchvision's own functions."""

import pytest
import torch
from torch import Generator, Tensor
from torchvision.transforms import functional

from dacn.data.views.augment import Augment, AugmentConfig, to_input
from dacn.data.views.jitter import ColourJitterConfig, jitter_colours, turn_hue

QUIET = {"shift": 0.0, "operations": 0, "cutout": 0.0}


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int) -> Tensor:
    shown = torch.rand(count, 3, 9, 11, generator=seeded(3))
    shown[0] = 0.4  # grey has no hue
    shown[1, :, :4] = torch.tensor([0.0, 1.0, 1.0])[:, None, None]
    shown[2] = shown[2].round()
    return shown


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.1, 0.5])
def test_a_hue_is_turned_as_torchvision_turns_it(turn: float) -> None:
    shown = images(12)
    found = turn_hue(shown.clone(), torch.full((12, 1, 1, 1), turn))
    torch.testing.assert_close(found, functional.adjust_hue(shown, turn), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "only", [{"brightness": 0.7}, {"contrast": 0.6}, {"saturation": 1.0}, {"hue": 0.3}, None], ids=str
)
def test_each_image_is_jittered_as_torchvision_does_it(only: dict[str, float] | None) -> None:
    still = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    config = ColourJitterConfig.model_validate({} if only is None else still | only)
    shown = images(12)
    found = jitter_colours(shown.clone(), config, seeded())
    draws = torch.empty(4, 12, 1, 1, 1).uniform_(-1, 1, generator=seeded()).flatten(1)
    for image, view, draw in zip(shown, found, draws.T.tolist(), strict=True):
        expected = functional.adjust_brightness(image, 1 + config.brightness * draw[0])
        expected = functional.adjust_contrast(expected, 1 + config.contrast * draw[1])
        expected = functional.adjust_saturation(expected, 1 + config.saturation * draw[2])
        expected = functional.adjust_hue(expected, config.hue * draw[3])
        torch.testing.assert_close(view, expected, atol=2e-3, rtol=0)  # torchvision's luma has four digits
    assert len({round(float(view.mean()), 5) for view in found}) > 6


@pytest.mark.parametrize("strong", [True, False])
def test_views_that_are_learned_from_are_jittered(strong: bool) -> None:
    config = AugmentConfig.model_validate({**QUIET, "colour_jitter": {}})
    shown = (255 * images(12)).byte()
    (weak, view), _ = Augment(config, flips=False).views(shown, shown[:0], seeded(), strong=strong)
    assert torch.allclose(weak, to_input(shown), atol=1e-5) == strong
    assert ((view - to_input(shown)).abs().amax((1, 2, 3)) > 0.01).sum() >= 11
