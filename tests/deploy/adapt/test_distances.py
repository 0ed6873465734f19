"""Distances of images from contexts against torch's own Gaussians."""

import torch
from torch.distributions import Normal, kl_divergence

from dacn.deploy.adapt.distances import nearness, spread_and_shift
from dacn.deploy.adapt.moments import divergence
from tests.deploy.adapt.networks import images, network


def test_divergence_is_that_of_gaussians() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, mean0 = torch.randn(2, 7, generator=generator)
    var, var0 = torch.rand(2, 7, generator=generator) + 0.1
    expected = kl_divergence(Normal(mean, var.sqrt()), Normal(mean0, var0.sqrt())).mean()
    torch.testing.assert_close(divergence(mean, var, mean0, var0, eps=0.0), expected)


def test_nearness_is_the_mean_over_layers_however_images_are_cut() -> None:
    model, x = network(), images(10)
    model.requires_grad_(False)
    z, found = x, []
    for layer in model.backbone.layers:  # type: ignore[union-attr]
        if hasattr(layer, "running_mean"):
            mean, var = z.mean((0, 2, 3)), z.var((0, 2, 3), unbiased=False)
            mean0, var0 = layer.running_mean[1], layer.running_var[1]
            own = kl_divergence(Normal(mean, (var + layer.eps).sqrt()), Normal(mean0, (var0 + layer.eps).sqrt()))
            found.append(float(own.mean()))
            z = layer(z, torch.full((10,), 1))
        else:
            z = layer(z)
    expected = sum(found) / len(found)
    assert abs(nearness(model, [x], 1).distance - expected) < 1e-5
    assert abs(nearness(model, [x[:3], x[3:]], 1).distance - expected) < 1e-5


def test_shift_is_what_chance_does_not_explain() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(400, 50, generator=generator)  # variance 1 about 0, in units of 4
    within, apart = spread_and_shift(means, torch.zeros(50), torch.full((50,), 4.0))
    assert abs(within - 0.25) < 0.01
    assert abs(apart) < 1e-3
    assert abs(spread_and_shift(means + 2, torch.zeros(50), torch.full((50,), 4.0))[1] - 1) < 0.03
    assert spread_and_shift(means[:1], torch.zeros(50), torch.ones(50))[0] == 0
