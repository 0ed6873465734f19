"""Blocks that are computed anew for the backward pass: the same gradients and statistics, less that is kept."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dacn.algorithms.statistics import call_keeping_statistics
from dacn.errors import RecipeError
from dacn.models.build import ModelConfig, build_model
from dacn.models.checkpointing import plain_name
from dacn.models.classifier import Classifier
from dacn.nn import open_renorm
from dacn.trainer.memory_estimate import estimate_memory
from dacn.trainer.optimizer import SgdConfig, build_optimizer

VIT = {"name": "vit", "depth": 2, "width": 24, "where": "every"}
WRN = {"name": "wide_resnet", "depth": 10, "width": 1}
RESNET = {"name": "torchvision", "arch": "resnet18"}
CONTEXT = torch.tensor([0, 0, 0, 1, 1, 1])


def network(backbone: dict[str, Any], norm: str, *, again: bool) -> Classifier:
    torch.manual_seed(0)
    config = ModelConfig(backbone=backbone, norm=norm, input_norm="none")
    return build_model(config, 3, 2, checkpoint_gradients=again).double()


def step(model: Classifier, x: Tensor) -> Tensor:
    """Two forwards, the first of the source alone and without a trace, as AdaMatch makes them; return the loss."""
    alone = call_keeping_statistics(model, x[:3], CONTEXT[:3])
    loss = functional.cross_entropy(torch.cat([alone, model(x, CONTEXT)]), torch.arange(9) % 3)
    loss.backward()
    return loss.detach()


SLOW = [pytest.param(RESNET, norm, marks=pytest.mark.slow) for norm in ("acn", "cn", "bn")]


@pytest.mark.parametrize(("backbone", "norm"), [(VIT, "acn"), (WRN, "cn"), (WRN, "bn"), *SLOW], ids=str)
def test_gradients_and_statistics_are_the_same(backbone: dict[str, Any], norm: str) -> None:
    plain, again = (network(backbone, norm, again=again) for again in (False, True))
    assert list(plain.state_dict()) == list(again.state_dict())
    again.load_state_dict(plain.state_dict())
    optimizers = [build_optimizer(SgdConfig(lr=0.05), model) for model in (plain, again)]
    for number in range(3):
        x = torch.rand(6, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
        for model in (plain, again):
            open_renorm(model, 0.2 * number)
        torch.testing.assert_close(step(again, x), step(plain, x))
        gradients = {plain_name(name): p.grad for name, p in again.named_parameters()}
        for name, parameter in plain.named_parameters():
            torch.testing.assert_close(gradients[name], parameter.grad, msg=lambda text, name=name: f"{name}: {text}")
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        for (name, a), b in zip(plain.state_dict().items(), again.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, msg=lambda text, name=name: f"{name}: {text}")
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    twin = copy.deepcopy(again)
    torch.testing.assert_close(twin.eval()(x), plain.eval()(x))


@pytest.mark.slow
def test_dropped_rows_are_the_same_in_both_passes() -> None:
    backbone = RESNET | {"arch": "efficientnet_b0", "options": {"stochastic_depth_prob": 0.5}}
    plain, again = (network(backbone, "gn", again=again).train() for again in (False, True))
    x = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    for model in (plain, again):
        torch.manual_seed(1)
        model(x, CONTEXT[:4]).pow(2).sum().backward()
    gradients = {plain_name(name): p.grad for name, p in again.named_parameters()}
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad)


def test_less_is_kept_and_names_to_freeze_are_the_plain_ones() -> None:
    kept = []
    for again in (False, True):
        algorithm = nn.Module()
        algorithm.model = network(WRN, "cn", again=again).float()
        optimizer = build_optimizer(SgdConfig(freeze=("backbone.blocks.0.conv1.weight",)), algorithm)
        kept.append(estimate_memory(algorithm, optimizer, (32, 32), 8).activations)
    assert kept[1] < 0.7 * kept[0]


@pytest.mark.parametrize(
    ("backbone", "norm", "message"),
    [
        ({"name": "small_cnn"}, "cn", "the backbone has no blocks that repeat"),
        (WRN, "mn", "a MixtureNorm may give another output when it is computed anew; use bn, cn or acn"),
    ],
)
def test_networks_that_cannot(backbone: dict[str, Any], norm: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"train.checkpoint_gradients: {message}"):
        network(backbone, norm, again=True)
