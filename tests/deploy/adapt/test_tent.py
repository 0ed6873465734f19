"""TENT against its formula in plain torch."""

import pytest
import torch
from torch import nn

from dacn.deploy.adapt.adapter import snapshot
from dacn.deploy.adapt.row import context_layers
from dacn.deploy.adapt.tent import Tent, affine_layers, entropy
from tests.deploy.adapt.networks import NEW, affine_of, assert_affine, changed, images, known_rows, network, plain


def test_entropy_is_that_of_numbers() -> None:
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]])
    for row, value in zip(logits.tolist(), entropy(logits).tolist(), strict=True):
        total = sum(2.718281828459045**z for z in row)
        shares = [2.718281828459045**z / total for z in row]
        expected = -sum(p * torch.tensor(p).log().item() for p in shares)
        assert value == pytest.approx(expected, abs=1e-6)


def test_two_steps_are_adams_on_the_mean_entropy() -> None:
    model = network()
    tent, affine = Tent(model, NEW, lr=0.01), affine_of(model)
    adam = torch.optim.Adam([*affine.values()], lr=0.01)
    for seed in (1, 2):
        x = images(6, seed)
        scores = plain(model, x, affine)
        torch.testing.assert_close(tent.step(x), scores.detach())  # predicted by what was learned before
        p = scores.softmax(1)
        loss = -(p * p.log()).sum(1).mean()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        assert_affine(model, affine)


def test_gamma_beta_and_running_statistics_of_the_new_row_move_and_nothing_else() -> None:
    model = network()
    tent = Tent(model, NEW, lr=0.1)
    before, known = snapshot(model), known_rows(model.state_dict())
    tent.step(images(6))
    assert changed(before, model) == {"weight", "bias", "running_mean", "running_var"}
    for name, value in known_rows(model.state_dict()).items():
        assert torch.equal(value, known[name]), name
    assert not model.training
    assert not any(module.training for module in model.modules())


def test_running_statistics_follow_the_batch() -> None:
    model = network()
    convolution, layer = model.get_submodule("backbone.layers.0"), context_layers(model)["backbone.layers.1"]
    x = images(6)
    before = layer.running_mean[NEW].clone()
    seen = convolution(x).mean((0, 2, 3))
    Tent(model, NEW).step(x)
    torch.testing.assert_close(layer.running_mean[NEW], 0.9 * before + 0.1 * seen)


def test_reset_goes_back() -> None:
    model = network()
    tent = Tent(model, NEW, lr=0.1)
    before, first = snapshot(model), tent.step(images(6))
    tent.step(images(6, seed=2))
    tent.reset()
    assert changed(before, model) == set()
    torch.testing.assert_close(tent.step(images(6)), first)


def test_group_norm_moves_for_all_contexts() -> None:
    model = network({"name": "gn"})
    tent = Tent(model, NEW, lr=0.1)
    assert tent.shared
    assert len(affine_layers(model)) == 6
    before = snapshot(model)
    tent.step(images(6))
    assert changed(before, model) == {"weight", "bias"}
    assert all(isinstance(layer, nn.GroupNorm) for layer in affine_layers(model).values())
    assert torch.equal(model.head.weight, before["head.weight"])


def test_a_network_without_such_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="no norm layer with a scale and a shift"):
        Tent(network({"name": "none"}), NEW)
