"""Every network compiles as one graph, forward and backward, and gives what it gives without compiling."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dacn.models.build import ModelConfig, build_model
from dacn.models.norms import NORMS
from dacn.nn import open_renorm
from dacn.recipe.recipe import load_recipe

CONTEXT = torch.tensor([0, 1, 1, 0, 1, 1])
# Small, but with each kind of block. Maps do not get so small that a component of a mixture is left with one sample:
# that one comes out as a zero, where the activation behind has a kink and the gradient depends on the rounding.
BACKBONES: dict[str, tuple[dict[str, Any], int]] = {
    "small_cnn": ({"name": "small_cnn", "width": 4}, 32),
    "wide_resnet": ({"name": "wide_resnet", "depth": 10, "width": 1}, 16),
    "vit": ({"name": "vit", "depth": 1, "width": 8, "heads": 2, "where": "every"}, 16),
    "torchvision": ({"name": "torchvision", "arch": "resnet18"}, 64),
}
NORM_CONFIGS: dict[str, Any] = {name: {"name": name} for name in NORMS} | {
    "acn task": {"name": "acn", "fit": "task"},
    "cn own": {"name": "cn", "affine": "own"},
    "mn": {"name": "mn", "components": 2, "refit_every": 2},
    "acn_latent paper": {"name": "acn_latent", "form": "paper"},
}
RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
# torch's compiler makes an instance of torch's own class, which warns against that (2.11).
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.autograd.function.Function.* should not be instantiated")


def smaller(config: ModelConfig) -> tuple[ModelConfig, int]:
    """The network of a recipe with fewer and narrower blocks, and the side of its images here."""
    backbone, side = BACKBONES[config.backbone.name]
    sizes = {key: value for key, value in backbone.items() if key not in ("name", "arch", "where")}
    tree = config.model_dump() | {"backbone": config.backbone.model_dump() | sizes}
    return ModelConfig.model_validate(tree), side


def assert_one_graph(config: ModelConfig, side: int, backend: str) -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    net = build_model(config, 5, 2).double()
    open_renorm(net, 0.25)
    twin = copy.deepcopy(net)
    parts = (twin.input_norm, twin.backbone)
    for part in parts:
        if not isinstance(part, nn.Identity):
            part.compile(backend=backend, fullgraph=True)
    x = torch.randn(len(CONTEXT), 3, side, side, dtype=torch.float64)
    for training, context in ((True, CONTEXT), (True, CONTEXT.flip(0)), (False, CONTEXT), (False, None)):
        results = [outcome(each.train(training), x, context) for each in (net, twin)]
        for eager, compiled in zip(*results, strict=True):
            torch.testing.assert_close(compiled, eager, atol=1e-8, rtol=1e-8)
    ours = {name.replace("_orig_mod.", ""): value for name, value in twin.state_dict().items()}
    for name, value in net.state_dict().items():
        torch.testing.assert_close(ours[name], value, atol=1e-8, rtol=1e-8, msg=name)


def outcome(net: nn.Module, x: Tensor, context: Tensor | None) -> list[Tensor]:
    """The output and the gradient of every parameter that it depends on."""
    y = net(x, context)
    used = torch.autograd.grad(y.square().sum(), [*net.parameters()], allow_unused=True)
    return [y.detach(), *[gradient for gradient in used if gradient is not None]]


ALWAYS = {
    "cifar10_cnn_acn",
    "cifar10_cnn_acn_base",
    "cifar10_cnn_mn",
    "cifar100_vit_acn",
    "mnist_svhn_acn",
}
"""Compiled in the default tests: norms with contexts in every backbone; the others are among the slow."""


def networks_of_recipes() -> list[Any]:
    """Each network once, whatever the number of recipes that share it, under the name of the first."""
    by_network = {repr(small := smaller(load_recipe(path).model)): (small, path.stem) for path in reversed(RECIPES)}
    return [
        pytest.param(*small, id=name, marks=[] if name in ALWAYS else pytest.mark.slow)
        for small, name in by_network.values()
    ]


@pytest.mark.parametrize(("config", "side"), networks_of_recipes())
def test_networks_of_the_recipes(config: ModelConfig, side: int) -> None:
    assert_one_graph(config, side, "eager")


def all_pairs() -> list[Any]:
    return [pytest.param(norm, backbone, id=f"{norm}-{backbone}") for norm in NORM_CONFIGS for backbone in BACKBONES]


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "backbone"), all_pairs())
def test_every_norm_in_every_backbone(norm: str, backbone: str) -> None:
    tree = {"norm": NORM_CONFIGS[norm], "input_norm": "none", "backbone": BACKBONES[backbone][0]}
    assert_one_graph(ModelConfig.model_validate(tree), BACKBONES[backbone][1], "eager")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("norm", NORM_CONFIGS)
def test_every_norm_through_the_whole_compiler(norm: str, backend: str) -> None:
    tree = {"norm": NORM_CONFIGS[norm], "input_norm": NORM_CONFIGS[norm], "backbone": BACKBONES["small_cnn"][0]}
    assert_one_graph(ModelConfig.model_validate(tree), 32, backend)
