"""Networks as timm and torchvision build them: converted, the outputs are at first what they were."""

import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.nn import convert_norm
from dacn.nn.convert.layout import norm_layers

FAST = [("torchvision", "squeezenet1_1"), ("torchvision", "shufflenet_v2_x0_5"), ("timm", "test_byobnet")]
BATCH_NORMED = [
    *(("timm", name) for name in (
        "resnet50", "efficientnet_b0", "tf_efficientnet_lite0", "mobilenetv3_large_100", "regnety_004", "densenet121",
        "resnetv2_50",
    )),
    *(("torchvision", name) for name in (
        "resnet18", "resnet50", "efficientnet_b0", "mobilenet_v2", "mobilenet_v3_large", "densenet121", "googlenet",
        "inception_v3", "shufflenet_v2_x1_0", "mnasnet1_0", "regnet_y_400mf",
    )),
]  # fmt: skip
LAYER_NORMED = [
    *(("timm", name) for name in ("convnext_tiny", "vit_base_patch16_224", "swin_tiny_patch4_window7_224")),
    *(("torchvision", name) for name in ("convnext_tiny", "vit_b_16", "swin_t")),
]


def build(library: str, name: str) -> nn.Module:
    """Return the network with random weights and the statistics that training might leave."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their slow start
        if library == "timm":
            net = pytest.importorskip("timm").create_model(name, pretrained=False)
        else:
            net = pytest.importorskip("torchvision").models.get_model(name)
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return net


@torch.no_grad()
def check(library: str, name: str, side: int) -> None:
    net = build(library, name).eval()
    x = torch.rand(2, 3, side, side)
    expected = net(x)
    converted = convert_norm(net, "acn", 2)
    assert not any(isinstance(layer, _BatchNorm) for layer in converted.modules())
    for context in (None, 0, 1, torch.tensor([0, 1])):
        gap = (converted(x, context) - expected).abs().max()
        assert gap <= 1e-5 * expected.abs().max()  # random weights and statistics make outputs of any size
    assert torch.equal(pickle.loads(pickle.dumps(converted))(x, 1), converted(x, 1))
    x = torch.rand(4, 3, side, side)
    got, like = converted.train()(x, torch.tensor([0, 0, 1, 1])), net.train()(x)
    assert type(got) is type(like)  # an Inception's in training are three
    if not isinstance(got, torch.Tensor):
        assert [y.shape for y in got] == [y.shape for y in like]


@pytest.mark.parametrize(("library", "name"), FAST[1:])
def test_outputs_start_the_same(library: str, name: str) -> None:
    check(library, name, 64)


def test_network_without_norms_is_refused() -> None:
    with pytest.raises(ValueError, match="no norm layer to replace; those present: none"):
        convert_norm(build(*FAST[0]), "acn", 2)


@pytest.mark.slow
@pytest.mark.parametrize(("library", "name"), BATCH_NORMED)
def test_outputs_of_popular_networks_start_the_same(library: str, name: str) -> None:
    check(library, name, 299 if name == "inception_v3" else 96)  # its auxiliary head takes no smaller ones


@pytest.mark.slow
@pytest.mark.parametrize(("library", "name"), LAYER_NORMED)
def test_networks_with_layer_norm_are_told_to_choose_and_train(library: str, name: str) -> None:
    net = build(library, name)
    with pytest.raises(ValueError, match=r"no norm layer to replace; those present: LayerNorm.*choose with where="):
        convert_norm(net, "acn", 2)
    converted = convert_norm(net, "acn", 2, where=list(norm_layers(net))).train()
    y = converted(torch.rand(2, 3, 224, 224), torch.tensor([0, 1]))
    y.square().sum().backward()
    assert y.isfinite().all()
    assert pickle.loads(pickle.dumps(converted)).eval()(torch.rand(1, 3, 224, 224), 1).shape == (1, 1000)
