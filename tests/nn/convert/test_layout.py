"""Where norm layers find their channels, for torch's own and for subclasses as other libraries have them."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.convnext import LayerNorm2d

from dacn.nn import ContextNorm, ContextSequential, convert_norm, fold_context
from dacn.nn.convert.layout import layout, norm_layers

C = 5


class BatchNormAct(nn.BatchNorm2d):
    """In the manner of timm: dropout and activation inside of the norm."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        assert x.ndim == 4
        x = F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )
        return self.act(self.drop(x))


class GroupNormAct(nn.GroupNorm):
    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps))


class FastLayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class MapLayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class HiddenAct(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class Shifted(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


@pytest.mark.parametrize(
    ("source", "channels_last", "then"),
    [
        (nn.BatchNorm1d(C), False, []),
        (nn.BatchNorm3d(C), False, []),
        (nn.SyncBatchNorm(C), False, []),
        (nn.InstanceNorm2d(C), False, []),
        (nn.GroupNorm(1, C), False, []),
        (nn.LayerNorm(C, bias=False), True, []),
        (nn.RMSNorm(C, eps=1e-6), True, []),
        (LayerNorm2d(C), False, []),
        (MapLayerNorm(C), False, []),
        (MapLayerNorm(3), False, []),  # as many channels as positions in the trial
        (FastLayerNorm(C), True, []),
        (FastLayerNorm(3), True, []),
        (BatchNormAct(C), False, ["Identity", "ReLU"]),
        (GroupNormAct(C), False, ["GELU"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_layouts(source: nn.Module, channels_last: bool, then: list[str]) -> None:
    before, random = copy.deepcopy(source.state_dict()), torch.get_rng_state()
    found = layout("norm", source.train())
    assert (found.channels_last, [type(layer).__name__ for layer in found.then]) == (channels_last, then)
    assert found.num_features == (3 if "(3" in repr(source) else C)
    assert source.training  # it was only asked, in a copy
    assert all(torch.equal(before[key], value) for key, value in source.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_layer_on_no_device_has_a_layout() -> None:
    with torch.device("meta"):
        assert layout("norm", LayerNorm2d(C)).channels_last is False


@pytest.mark.parametrize("source", [nn.Linear(C, C), nn.LayerNorm((C, 2)), HiddenAct(C), Shifted(C)])
def test_layer_that_does_something_else_is_refused(source: nn.Module) -> None:
    kind = type(source).__name__
    with pytest.raises(ValueError, match=rf"cannot replace 'block\.norm' \({kind}\): expected torch's .*where="):
        layout("block.norm", source)


def test_activation_inside_of_the_norm_stays_behind_it() -> None:
    torch.manual_seed(0)
    original = nn.Sequential(nn.Conv2d(3, C, 3), BatchNormAct(C), nn.Conv2d(C, 2, 1), BatchNormAct(2))
    for layer in original[1], original[3]:
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.5, 2)
        nn.init.normal_(layer.weight)
    x, context = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 1, 0])
    net = convert_norm(original.eval(), "acn", 2, example=x)
    assert [type(m).__name__ for m in net.get_submodule("1")] == ["AdaptiveContextNorm", "Identity", "ReLU"]
    assert isinstance(net.get_submodule("1"), ContextSequential)
    torch.testing.assert_close(net(x, context), original(x), atol=1e-5, rtol=1e-5)
    net.train()(x, context).pow(2).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    folded = fold_context(net.eval(), 1)
    torch.testing.assert_close(folded(x), net(x, torch.ones(4, dtype=torch.int64)), atol=1e-5, rtol=1e-5)
    assert not any("Norm" in type(module).__name__ for module in folded.modules())


def test_norm_layers_are_found_by_name() -> None:
    class ConvNormAct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, C, 1), BatchNormAct(C)

    found = norm_layers(nn.Sequential(ConvNormAct(), nn.LayerNorm(C), nn.ReLU()))
    assert list(found) == ["0.norm", "1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "side", "where"),
    [
        ("resnet18", 64, None),
        ("efficientnet_b0", 64, None),
        ("mobilenetv3_small_100", 64, None),
        ("densenet121", 64, None),
        ("convnext_atto", 64, [nn.LayerNorm]),
        ("vit_tiny_patch16_224", 224, [nn.LayerNorm]),
        ("swin_tiny_patch4_window7_224", 224, [nn.LayerNorm]),
    ],
)
def test_networks_of_timm(arch: str, side: int, where: list[type[nn.Module]] | None) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    original = timm.create_model(arch, num_classes=5).double().eval()
    x, context = torch.rand(4, 3, side, side, dtype=torch.float64), torch.tensor([0, 0, 1, 1])
    net = convert_norm(original, "acn", 2, where=where, example=x)
    if where is None:
        torch.testing.assert_close(net(x, context), original(x), atol=1e-5, rtol=1e-5)
    net.train()(x, context)
    assert all(layer.initialized.all() for layer in net.modules() if isinstance(layer, ContextNorm))
    expected = net.eval()(x, torch.ones(4, dtype=torch.int64))
    torch.testing.assert_close(fold_context(net, 1)(x), expected, atol=1e-5, rtol=1e-5)
