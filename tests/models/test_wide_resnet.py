from functools import partial
from math import sqrt

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.functional import batch_norm, leaky_relu

from dacn.models.classifier import Classifier
from dacn.models.wide_resnet import WideResNet, WideResNetConfig
from dacn.nn import ContextBatchNorm, fold_context


def test_wrn_28_2_has_the_published_number_of_parameters() -> None:
    net = Classifier(nn.Identity(), WideResNet(nn.BatchNorm2d, depth=28, width=2), num_classes=10)
    assert sum(p.numel() for p in net.parameters()) == 1_467_610  # "1.47 M" in FixMatch and MixMatch
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in net.modules()) == 25  # 28 less 3 shortcuts
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) for m in net.modules()) == 3


@pytest.mark.parametrize(("depth", "width"), [(10, 1), (16, 2)])
def test_output_shape(depth: int, width: int) -> None:
    net = WideResNet(partial(ContextBatchNorm, num_contexts=2), depth=depth, width=width)
    assert net.out_features == 64 * width
    assert net(torch.rand(2, 3, 32, 32), torch.tensor([0, 1])).shape == (2, 64 * width)


def test_convolutions_start_from_the_reference_distribution() -> None:
    torch.manual_seed(0)
    net = WideResNet(nn.BatchNorm2d, depth=16, width=2)
    for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
        n, expected = conv.weight.numel(), sqrt(2 / (conv.kernel_size[0] ** 2 * conv.out_channels))
        assert conv.bias is None
        assert conv.weight.std().item() == pytest.approx(expected, rel=4 / sqrt(2 * n))  # four standard errors
        assert conv.weight.mean().item() == pytest.approx(0, abs=4 * expected / sqrt(n))


def test_forward_is_the_reference_layout() -> None:
    """The first block of the first group activates before the residual branches off, no other does."""
    torch.manual_seed(0)
    net = WideResNet(nn.BatchNorm2d, depth=16, width=1)  # two blocks a group; width 1: block one has no shortcut
    x = torch.rand(2, 3, 16, 16)

    def activate(y: Tensor) -> Tensor:
        return leaky_relu(batch_norm(y, None, None, training=True), 0.1)

    y = net.stem(x)
    for i, block in enumerate(net.blocks):
        activated = activate(y)
        trunk = activated if i == 0 else y
        if i in (2, 4):  # first of the second and third group: half the size, twice the channels
            assert block.conv1.stride == (2, 2)
            trunk = block.shortcut(trunk)
        y = trunk + block.conv2(activate(block.conv1(activated)))
    torch.testing.assert_close(net(x), activate(y).mean(dim=(2, 3)))
    assert [block.conv1.out_channels for block in net.blocks] == [16, 16, 32, 32, 64, 64]


def plain_same(x: Tensor, weight: Tensor) -> Tensor:
    """A convolution with stride 2 whose output covers ceil(n / 2) positions, the odd pixel of padding at the end."""
    out_channels, _, kernel, _ = weight.shape
    sides, before = [], []
    for n in x.shape[2:]:
        sides.append(-(-n // 2))
        before.append(max((sides[-1] - 1) * 2 + kernel - n, 0) // 2)
    result = torch.zeros(len(x), out_channels, *sides, dtype=x.dtype)
    for i in range(sides[0]):
        for j in range(sides[1]):
            for a in range(kernel):
                for b in range(kernel):
                    row, column = 2 * i + a - before[0], 2 * j + b - before[1]
                    if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                        result[:, :, i, j] += x[:, :, row, column] @ weight[:, :, a, b].T
    return result


@pytest.mark.parametrize("size", [(16, 16), (15, 15), (10, 7)])
def test_same_padding_is_that_of_a_plain_loop(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = WideResNet(nn.BatchNorm2d, depth=10, width=1, padding="same").double()
    strided = [block.conv1 for block in net.blocks if block.conv1.stride == (2, 2)]
    assert len(strided) == 2
    for conv in strided:
        x = torch.randn(2, conv.in_channels, *size, dtype=torch.float64)
        torch.testing.assert_close(conv(x), plain_same(x, conv.weight))
        symmetric = nn.functional.conv2d(x, conv.weight, stride=2, padding=1)
        assert torch.allclose(conv(x), symmetric) is (size == (15, 15))


def test_same_padding_changes_no_name_and_folds() -> None:
    torch.manual_seed(0)
    norm = partial(ContextBatchNorm, num_contexts=2)
    net, other = (WideResNet(norm, depth=10, width=1, padding=padding) for padding in ("same", "symmetric"))
    assert net.state_dict().keys() == other.state_dict().keys()
    x, context = torch.randn(4, 3, 16, 16), torch.tensor([0, 0, 1, 1])
    net(x, context)
    plain = fold_context(net.eval(), 1)
    torch.testing.assert_close(plain(x), net(x, torch.ones(4, dtype=torch.int64)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("depth", "nearest"), [(27, 28), (30, 28), (11, 10), (99, 100), (100, None), (28, None)])
def test_depth_must_be_whole_blocks(depth: int, nearest: int | None) -> None:
    if nearest is None:
        assert WideResNetConfig(depth=depth).depth == depth
    else:
        with pytest.raises(ValidationError, match=rf"must be 6n \+ 4, the nearest is {nearest}"):
            WideResNetConfig(depth=depth)


@pytest.mark.parametrize("options", [{"depth": 4}, {"depth": 106}, {"width": 0}, {"wdith": 2}, {"padding": "valid"}])
def test_config_refuses(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WideResNetConfig(**options)
