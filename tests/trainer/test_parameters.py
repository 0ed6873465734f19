"""Rates of the backbone and of its blocks, frozen parameters and clipped gradients of a recipe's optimizer."""

import copy

import pytest
import torch
from torch import Tensor, nn

from dacn.errors import RecipeError
from dacn.models.blocks import blocks_to_the_end
from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from dacn.trainer.optimizer import AdamWConfig, SgdConfig, build_optimizer
from dacn.trainer.schedule import InverseConfig, build_schedule


def network(backbone: object = "small_cnn", **keys: object) -> Classifier:
    torch.manual_seed(0)
    return build_model(ModelConfig(backbone=backbone, norm="cn", input_norm="none", **keys), 3, 2)


VIT = {"name": "vit", "depth": 3, "width": 24}


def rates(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, float]:
    """Return the learning rate of each parameter by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


def test_the_backbone_learns_at_its_own_rate_and_the_rest_at_the_full_one() -> None:
    model = network(bottleneck=4)
    algorithm = nn.Module()
    algorithm.model, algorithm.discriminator = model, nn.Linear(4, 1)
    optimizer = build_optimizer(SgdConfig(lr=0.02, backbone_lr=0.1, momentum=0.9), algorithm)
    found = rates(optimizer, algorithm)
    assert set(found) == {name for name, _ in algorithm.named_parameters()}
    for name, lr in found.items():
        assert lr == pytest.approx(0.002 if name.startswith("model.backbone.") else 0.02), name
    assert optimizer.param_groups[0]["lr"] == 0.02  # which is what is logged
    decayed = {p for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    plain = build_optimizer(SgdConfig(lr=0.02), copy.deepcopy(algorithm))
    assert len(decayed) == sum(len(g["params"]) for g in plain.param_groups if g["weight_decay"])


def test_every_group_follows_the_schedule() -> None:
    optimizer = build_optimizer(AdamWConfig(lr=0.02, backbone_lr=0.1), network())
    schedule = build_schedule(InverseConfig(gamma=0.001), optimizer, steps=5000)
    for step in range(3):
        share = (1 + 0.001 * step) ** -0.75
        assert sorted({g["lr"] for g in optimizer.param_groups}) == pytest.approx([0.002 * share, 0.02 * share])
        optimizer.step()
        schedule.step()


def test_rates_fall_from_block_to_block() -> None:
    model = network(VIT)
    found = rates(build_optimizer(AdamWConfig(lr=1.0, backbone_lr=0.5, layer_decay=0.75), model), model)
    expected = {"blocks.2": 1, "blocks.1": 2, "blocks.0": 3, "embed": 4, "positions": 4, "last": 0}
    for name, lr in found.items():
        part = next((part for part in expected if name.startswith(f"backbone.{part}")), None)
        if part is not None:
            assert lr == pytest.approx(0.5 * 0.75 ** expected[part]), name
    assert found["head.weight"] == 1.0


@pytest.mark.parametrize(
    ("arch", "blocks", "first", "last"),
    [
        ("resnet50", 16, "conv1.weight", "layer4.2.bn3.bias"),
        ("vit_b_16", 12, "class_token", "encoder.layers.encoder_layer_11.mlp.3.bias"),
        ("swin_t", 12, "features.0.0.weight", "features.7.1.mlp.3.bias"),
        ("efficientnet_b0", 16, "features.0.0.weight", "features.7.0.block.3.1.bias"),
    ],
)
def test_blocks_of_popular_networks(arch: str, blocks: int, first: str, last: str) -> None:
    models = pytest.importorskip("torchvision").models
    with torch.device("meta"):
        found = blocks_to_the_end(models.get_model(arch))
    assert (found[first], found[last]) == (blocks + 1, 1)


def test_no_blocks_to_decay_over() -> None:
    with pytest.raises(RecipeError, match=r"optimizer\.layer_decay: the backbone has no blocks that repeat"):
        build_optimizer(SgdConfig(layer_decay=0.75), network())


def test_frozen_parameters_stay_and_all_else_moves() -> None:
    model = network()
    optimizer = build_optimizer(SgdConfig(lr=0.1, freeze=("backbone.layers.[0-3].*", "head.bias")), model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    nn.functional.cross_entropy(
        model(torch.rand(4, 3, 16, 16), torch.tensor([0, 0, 1, 1])), torch.arange(4) % 3
    ).backward()
    optimizer.step()
    frozen = {name for name in before if name.startswith(tuple(f"backbone.layers.{i}." for i in range(4)))} | {
        "head.bias"
    }
    assert {name for name, p in model.named_parameters() if torch.equal(p, before[name])} == frozen
    assert not frozen & set(rates(optimizer, model))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "backbone.layer.*",
            r"'backbone\.layer\.\*' names no parameter of the network; did you mean 'backbone\.layers\.\*'",
        ),
        ("zzz", r"'zzz' names no parameter of the network \(they begin with backbone\.layers\.0, .*head\.weight"),
        ("*", r"names every parameter, so nothing would learn"),
    ],
)
def test_patterns_that_do_not_hold(pattern: str, message: str) -> None:
    with pytest.raises(RecipeError, match=rf"optimizer\.freeze: {message}"):
        build_optimizer(SgdConfig(freeze=(pattern,)), network())


@pytest.mark.parametrize("limit", [0.1, 100.0])
def test_gradients_are_scaled_down_to_the_limit_together(limit: float) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = build_optimizer(SgdConfig(lr=1.0, momentum=0, weight_decay=0, clip=limit), net)
    net(torch.randn(5, 3)).pow(2).sum().backward()
    gradients = [p.grad.clone() for p in net.parameters()]
    norm = sum(float(g.pow(2).sum()) for g in gradients) ** 0.5
    optimizer.step()
    share = min(1.0, limit / norm)
    for p, start, gradient in zip(net.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(p.detach(), start - share * gradient, atol=1e-6, rtol=1e-4)


def test_two_rows_of_one_image_draw_their_own_dropout_and_depth() -> None:
    """Views of one image are rows of one batch: what is dropped in one says nothing of the other."""
    options = {"stochastic_depth_prob": 0.5, "dropout": 0.0}
    for arch, given in (("efficientnet_b0", options), ("efficientnet_b0", options | {"stochastic_depth_prob": 0.0})):
        config = ModelConfig(backbone={"name": "torchvision", "arch": arch, "options": given}, norm="gn")
        torch.manual_seed(0)
        model = build_model(config, 3, 2).train()
        view: Tensor = torch.rand(1, 3, 32, 32).repeat(2, 1, 1, 1)
        first, second = model(view, torch.zeros(2, dtype=torch.int64))
        assert torch.allclose(first, second, atol=1e-5) is (given["stochastic_depth_prob"] == 0)
