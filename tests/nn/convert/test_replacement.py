"""What a new layer takes over from the layer it replaces, against the formulas in plain NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from dacn.nn.convert.replacement import LAYERS, hand_on, maker, statistics

C, K, EPS = 5, 3, 1e-3


def trained_batch_norm(affine: bool = True) -> nn.BatchNorm2d:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(C, eps=EPS, momentum=0.05, affine=affine).double()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 3)
    norm.running_var[2] = 0  # a dead channel
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_every_context_starts_at_the_batch_norm(name: str, affine: bool) -> None:
    source = trained_batch_norm(affine)
    layer = maker(name, K, {})("norm", source).double()
    hand_on(source, layer)
    assert layer.eps == EPS
    assert layer.initialized.all()
    np.testing.assert_allclose(layer.frequency.numpy(), np.full(K, 1 / K), rtol=1e-6)
    mean, var = (table.detach().numpy() for table in layer.tables())
    gamma, beta = (table.detach().numpy() for table in layer.affine_tables(torch.zeros(1)))
    x = np.linspace(-2, 2, C)
    x_hat = (x - source.running_mean.numpy()) / np.sqrt(source.running_var.numpy() + EPS)
    expected = x_hat * source.weight.detach().numpy() + source.bias.detach().numpy() if affine else x_hat
    for k in range(K):
        np.testing.assert_allclose((x - mean[k]) / np.sqrt(var[k] + EPS) * gamma[k] + beta[k], expected, rtol=1e-6)
    assert (layer.weight is None) is not affine


def test_own_affine_starts_each_context_at_the_batch_norm() -> None:
    source = trained_batch_norm()
    layer = maker("cn", K, {"affine": "own"})("norm", source)
    hand_on(source, layer)
    assert layer.momentum == 0.05
    for k in range(K):
        torch.testing.assert_close(layer.weight[k], source.weight.float())


def test_untrained_batch_norm_has_only_its_affine_map_to_hand_on() -> None:
    source = nn.BatchNorm2d(C, eps=EPS)
    nn.init.zeros_(source.weight)  # as torchvision's zero_init_residual does
    assert statistics(source) is None
    layer = maker("acn", K, {})("norm", source)
    hand_on(source, layer)
    assert not layer.weight.any()
    assert not layer.initialized.any()  # the first batch of each context starts it


def test_plain_layers_take_over_what_they_can() -> None:
    source = trained_batch_norm()
    norm, group = nn.BatchNorm2d(C).double(), nn.GroupNorm(1, C).double()
    for layer in (norm, group, nn.Identity()):
        hand_on(source, layer)
    x = torch.randn(2, C, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(norm.eval()(x), source.eval()(x))
    assert torch.equal(group.weight, source.weight)


@pytest.mark.parametrize("source", [nn.LayerNorm(C, bias=False), nn.RMSNorm(C, eps=1e-6)])
def test_tokens_and_the_fit_of_inner_layers(source: nn.Module) -> None:
    layer = maker("acn", K, {})("norm", source)
    assert (layer.num_features, layer.channels_last, layer.fit) == (C, True, "likelihood")
    hand_on(source, layer)


def test_layer_of_maps_in_the_place_of_one_of_tokens() -> None:
    source = nn.LayerNorm(C)
    nn.init.normal_(source.weight)
    layer = maker(nn.BatchNorm2d, None, {})("norm", source)
    hand_on(source, layer)
    assert torch.equal(layer.layer.weight, source.weight)
    assert layer(torch.randn(2, 7, C)).shape == (2, 7, C)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("acm", K, {}), r"norm must be one of acn, acn_base, cn or a function, got 'acm'; did you mean 'acn'\?"),
        (("acn", None, {}), "norm 'acn' needs num_contexts"),
        ((nn.BatchNorm2d, None, {"eta": 0.1}), "options are for a norm given by name, got eta beside a function"),
    ],
)
def test_wrong_norms_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        maker(*arguments)
