from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dacn.models.small_cnn import SmallCnn
from dacn.nn import ContextBatchNorm


@pytest.mark.parametrize("side", [28, 32, 40])
def test_returns_three_times_the_width_for_any_image_size(side: int) -> None:
    net = SmallCnn(partial(ContextBatchNorm, num_contexts=2), width=4)
    assert net.out_features == 12
    assert net(torch.rand(2, 3, side, side), torch.tensor([0, 1])).shape == (2, 12)


def test_layers_are_six_convolutions_at_three_widths() -> None:
    net = SmallCnn(nn.BatchNorm2d, width=32)
    shapes = [tuple(m.weight.shape) for m in net.modules() if isinstance(m, nn.Conv2d)]
    channels = [3, 32, 32, 64, 64, 96, 96]
    assert shapes == [(out, in_, 3, 3) for in_, out in pairwise(channels)]
    weights = 9 * sum(in_ * out for in_, out in pairwise(channels))
    gammas_and_betas = 2 * sum(channels[1:])
    assert sum(p.numel() for p in net.parameters()) == weights + gammas_and_betas
    assert weights == 203_616  # of the order of 10^5


def test_forward_is_what_the_docstring_says() -> None:
    torch.manual_seed(0)
    net = SmallCnn(nn.BatchNorm2d, width=4)
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    x = torch.rand(2, 3, 32, 32)
    y = x
    for i, conv in enumerate(convs):
        if i in (2, 4):
            y = F.max_pool2d(y, 2)
        y = F.conv2d(y, conv.weight, stride=2 if i == 0 else 1, padding=1)
        y = F.leaky_relu(F.batch_norm(y, None, None, training=True), 0.1)
    assert y.shape[2:] == (4, 4)
    torch.testing.assert_close(net(x), y.mean(dim=(2, 3)))
