"""Norm layers keep the eps that pretrained weights were trained with, and so does the network that is loaded later."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dacn.deploy.adapt.row import with_row
from dacn.deploy.loading import load_run
from dacn.models.build import ModelConfig, build_model
from dacn.nn import ContextNorm
from dacn.recipe.recipe import parse_recipe
from dacn.run.interface import Interface
from dacn.run.origin import origin_of
from dacn.trainer.checkpoint import save_checkpoint

timm = pytest.importorskip("timm")
EPS = 0.125  # of the network whose weights these are; far from a norm's own
BACKBONE = {"name": "timm", "arch": "test_efficientnet", "options": {"bn_eps": EPS}}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = timm.create_model("test_efficientnet", num_classes=0, bn_eps=EPS)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0, 0.2)
            layer.running_var[0] = 0.0  # a dead channel, of which eps is all that there is
    torch.save(net.state_dict(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


def eps_of(model: nn.Module) -> set[float]:
    return {layer.eps for layer in model.modules() if isinstance(layer, ContextNorm | nn.BatchNorm2d)}


def assert_same(got: torch.Tensor, expected: torch.Tensor) -> None:
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()  # random weights give outputs of any size


@pytest.mark.parametrize("norm", ["bn", "cn", "acn", "acn_base"])
@torch.no_grad()
def test_a_network_is_loaded_with_the_eps_that_it_was_trained_with(norm: str, weights: Path, tmp_path: Path) -> None:
    parts = {"backbone": BACKBONE | {"pretrained": weights}, "norm": norm}
    recipe = parse_recipe({"name": "small", "model": parts}, "test")
    model = build_model(recipe.model, 3, 2).eval()
    x, context = torch.rand(4, 3, 64, 64), torch.tensor([0, 0, 1, 1])
    expected = model(x, context)
    original = timm.create_model("test_efficientnet", num_classes=0, bn_eps=EPS).eval()
    original.load_state_dict(torch.load(weights, weights_only=True))
    assert model.input_scale is not None
    assert_same(model.features(x, context), original(model.input_scale(x)))
    assert eps_of(model) == {EPS}

    weights.unlink()  # a checkpoint needs none
    interface = Interface(
        classes=("a", "b", "c"), contexts=("source", "target"), context_from="domain", trained=(0, 1),
        image_size=(64, 64), fits=("crop", "crop"),
    )  # fmt: skip
    origin = {"origin": origin_of(recipe), "network": interface.model_dump(mode="json"), "step": 0}
    save_checkpoint(tmp_path / "checkpoints" / "selected.pt", {**origin, "model": model.state_dict()})
    network = load_run(tmp_path, device="cpu")
    assert_same(network.model(x, context), expected)
    if norm != "acn_base":  # whose rows follow from others of the network's weights
        assert_same(with_row(network, "new").model(x, context), expected)


def test_a_network_from_scratch_has_the_recipes_eps() -> None:
    model = build_model(ModelConfig.model_validate({"backbone": BACKBONE, "norm": {"name": "cn", "eps": 1e-4}}), 3, 2)
    assert eps_of(model) == {1e-4}
