"""Networks that pad by what their input's size asks for, folded for one size."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dacn.nn import ContextBatchNorm, ContextSequential, convert_norm, fold_context


class Conv2dSame(nn.Conv2d):
    """As timm's of that name, in the plainest form: for each side, ``ceil(length / stride)`` outputs."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x and as many zeros as that takes, the odd one below and to the right."""
        for side in (2, 3):
            outputs = -(-int(x.shape[side]) // self.stride[side - 2])
            reach = (self.kernel_size[side - 2] - 1) * self.dilation[side - 2] + 1
            missing = max((outputs - 1) * self.stride[side - 2] + reach - int(x.shape[side]), 0)
            pad = [0, 0, 0, 0]
            pad[2 * (3 - side)], pad[2 * (3 - side) + 1] = missing // 2, missing - missing // 2
            x = F.pad(x, pad)
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


@pytest.mark.parametrize("size", [(32, 32), (31, 32), (17, 23)])
@pytest.mark.parametrize(("stride", "kernel", "dilation"), [(2, 3, 1), (1, 5, 1), (3, (5, 2), 1), (2, 3, 2)])
@torch.no_grad()
def test_a_folded_network_pads_as_its_example_was_padded(
    size: tuple[int, int], stride: int, kernel: int, dilation: int
) -> None:
    torch.manual_seed(0)
    first, second = ContextBatchNorm(4, num_contexts=2), ContextBatchNorm(6, num_contexts=2)
    net = ContextSequential(
        Conv2dSame(3, 4, 3, 2, bias=False), first, nn.ReLU(),
        Conv2dSame(4, 6, kernel, stride, dilation=dilation, groups=2), second,
    ).eval()  # fmt: skip
    for norm in (first, second):
        norm.running_mean.normal_()
        norm.weight.uniform_(0.5, 2)
    x = torch.rand(3, 3, *size)
    folded = fold_context(net, 1, example=x[:1])
    torch.testing.assert_close(folded(x), net(x, torch.ones(3, dtype=torch.int64)), atol=1e-5, rtol=1e-5)
    assert {type(layer).__module__.partition(".")[0] for layer in folded.modules() if not any(layer.children())} == {
        "torch"
    }
    assert [type(layer).__name__ for layer in net if isinstance(layer, nn.Conv2d)] == [
        "Conv2dSame"
    ] * 2  # left as it was


def test_without_an_example_such_a_network_cannot_be_traced() -> None:
    net = ContextSequential(Conv2dSame(3, 4, 3, 2), ContextBatchNorm(4, num_contexts=2)).eval()
    with pytest.raises(ValueError, match=r"cannot trace '0' \(Conv2dSame\)"):
        fold_context(net, 0)


@torch.no_grad()
def test_timms_own_is_folded() -> None:
    layers = pytest.importorskip("timm").layers
    torch.manual_seed(0)
    plain = nn.Sequential(layers.Conv2dSame(3, 4, 3, 2, bias=False), nn.BatchNorm2d(4), nn.ReLU6()).eval()
    plain[1].running_mean.normal_()
    x = torch.rand(2, 3, 30, 29)
    net = convert_norm(plain, "cn", 2).eval()
    torch.testing.assert_close(fold_context(net, 1, example=x)(x), plain(x), atol=1e-5, rtol=1e-5)
