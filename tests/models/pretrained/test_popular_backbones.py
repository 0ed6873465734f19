"""The backbones that practitioners take: built from a file of weights, their features are at first what they were."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.models.build import ModelConfig, build_model, notes_on
from dacn.nn import ContextNorm

BATCH_NORMED = [
    ("torchvision", "resnet50"),
    ("torchvision", "efficientnet_b0"),
    ("timm", "resnet50"),
    ("timm", "tf_efficientnet_lite0"),
]
LAYER_NORMED = [
    ("torchvision", "convnext_tiny"),
    ("torchvision", "vit_b_16"),
    ("torchvision", "swin_t"),
    ("timm", "convnext_tiny"),
    ("timm", "vit_base_patch16_224"),
    ("timm", "swin_tiny_patch4_window7_224"),
]


def pretrained(library: str, arch: str) -> nn.Module:
    """Return the library's network of 7 classes, with random weights and the statistics that training might leave."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their slow start
        if library == "timm":
            net: nn.Module = pytest.importorskip("timm").create_model(arch, num_classes=7)
        else:
            net = pytest.importorskip("torchvision").models.get_model(arch, num_classes=7)
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "arch", "norm"),
    [*((*net, norm) for net in BATCH_NORMED for norm in ("cn", "acn", "bn")), *((*net, "cn") for net in LAYER_NORMED)],
)
@torch.no_grad()
def test_scores_start_the_same_under_any_context(library: str, arch: str, norm: str, tmp_path: Path) -> None:
    layers_kept = (library, arch) in LAYER_NORMED
    net = pretrained(library, arch)
    file = tmp_path / "weights.pth"
    torch.save({"model": {f"module.{name}": tensor for name, tensor in net.state_dict().items()}}, file)
    model = build_model(
        ModelConfig(backbone={"name": library, "arch": arch, "pretrained": file}, norm=norm), 7, 2
    ).eval()
    head = [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]
    model.head.load_state_dict(head.state_dict())
    side = 224 if layers_kept else 64
    pixels = torch.randint(0, 256, (3, 3, side, side)).float()
    assert model.input_scale is not None
    expected = net((pixels / 255 - model.input_scale.mean) / model.input_scale.std)
    for context in (None, torch.tensor([0, 0, 0]), torch.tensor([0, 1, 1])):
        gap = (model((pixels - 127.5) / 128, context) - expected).abs().max()
        assert gap <= 2e-5 * expected.abs().max()
    assert any(isinstance(layer, ContextNorm) for layer in model.modules()) is (not layers_kept and norm != "bn")
    assert [("replaces nothing" in note) for note in notes_on(model)] == [True] * layers_kept


@pytest.mark.slow
@pytest.mark.parametrize(("library", "arch"), LAYER_NORMED)
def test_layer_norms_give_way_where_the_recipe_says(library: str, arch: str) -> None:
    kinds = {type(m).__name__ for m in pretrained(library, arch).modules() if "LayerNorm" in type(m).__name__}
    model = build_model(ModelConfig(backbone={"name": library, "arch": arch, "where": [*kinds]}, norm="cn"), 7, 2)
    assert not any("LayerNorm" in type(m).__name__ for m in model.modules())
    scores = model(torch.rand(4, 3, 224, 224), torch.tensor([0, 0, 1, 1]))
    scores.logsumexp(1).sum().backward()
    assert scores.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
