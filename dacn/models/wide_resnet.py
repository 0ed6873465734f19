"""Wide residual network in the layout of the AdaMatch and FixMatch code."""

from collections.abc import Callable
from math import sqrt
from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from dacn.config import Config
from dacn.nn import takes_context


class WideResNetConfig(Config):
    """Wide residual network, arXiv 1605.07146."""

    name: Literal["wide_resnet"] = "wide_resnet"
    depth: int = Field(28, ge=10, le=100, description="convolutions: 6n + 4")
    width: int = Field(2, ge=1, le=20, description="widening factor")
    padding: Literal["symmetric", "same"] = Field(
        "symmetric",
        description="of 3x3 convolutions with stride 2; same: as the authors', below and to the right alone",
    )

    @field_validator("depth")
    @classmethod
    def _whole_blocks(cls, depth: int) -> int:
        if (depth - 4) % 6:
            raise ValueError(f"must be 6n + 4, the nearest is {round((depth - 4) / 6) * 6 + 4}")
        return depth


class WideResNet(nn.Module):
    """WRN-depth-width: three groups of residual blocks, then norm, leaky ReLU 0.1 and a mean over positions.

    Args:
        norm: makes the normalization layer for a number of channels.
        depth: 6n + 4 convolutions, n blocks a group.
        width: widening factor of the 16, 32 and 64 channels.
        padding: ``"symmetric"`` or ``"same"``, of convolutions with stride 2.

    Shape: x ``(B, 3, H, W)``, context ``(B,)``; returns ``(B, 64 * width)``.

    The layout is that of google-research/adamatch: the first block activates before the residual branches off,
    convolutions start from N(0, 2 / (k * k * out)). Departures:

    - Where a stride of 2 meets an even side, symmetric padding samples one pixel further up and to the left than their
      SAME padding, which pads below and to the right alone: ``padding: same``.
    - Convolutions have no bias, which a norm layer behind them takes out again; theirs have one, and their linear head
      starts from a truncated normal distribution.
    - BatchNorm is torch's: by default momentum 0.1 and eps 1e-5, and its running variance is the unbiased one. Theirs
      (objax) has 0.001 and 1e-6 and a biased one, FixMatch's (TensorFlow) 0.001 and 1e-3:
      ``norm: {name: bn, momentum: 0.001, eps: 1e-6}``. A channel has 32,768 positions or more in a batch of theirs,
      so the two variances differ by 0.003 %.

    Reference: arXiv 1605.07146.
    """

    takes_context = True

    def __init__(
        self, norm: Callable[[int], nn.Module], depth: int = 28, width: int = 2, padding: str = "symmetric"
    ) -> None:
        super().__init__()
        self.out_features = 64 * width
        self.stem = _conv(3, 16, 3)
        self.blocks = nn.ModuleList()
        channels = 16
        for group, out in enumerate((16 * width, 32 * width, 64 * width)):
            for i in range((depth - 4) // 6):
                stride = 2 if group and not i else 1
                self.blocks.append(_Block(channels, out, stride, norm, not group and not i, padding))
                channels = out
        self.norm = norm(channels)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the feature vectors."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, context)
        features: Tensor = leaky_relu(_normalize(self.norm, x, context), 0.1).mean(dim=(2, 3))
        return features


class _Block(nn.Module):
    """Norm, activation, convolution, twice, added to the input (through a 1x1 convolution where the shape changes)."""

    def __init__(
        self,
        channels: int,
        out: int,
        stride: int,
        norm: Callable[[int], nn.Module],
        activate_residual: bool,
        padding: str,
    ) -> None:
        super().__init__()
        self.activate_residual = activate_residual
        self.norm1, self.conv1 = norm(channels), _conv(channels, out, 3, stride, padding)
        self.norm2, self.conv2 = norm(out), _conv(out, out, 3)
        same = channels == out and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else _conv(channels, out, 1, stride)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        activated = leaky_relu(_normalize(self.norm1, x, context), 0.1)
        residual: Tensor = self.conv1(activated)
        residual = self.conv2(leaky_relu(_normalize(self.norm2, residual, context), 0.1))
        shortcut: Tensor = self.shortcut(activated if self.activate_residual else x)
        return shortcut + residual


def _normalize(norm: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    y: Tensor = norm(x, context) if takes_context(norm) else norm(x)
    return y


class _SamePadded(nn.Conv2d):
    """A 3x3 convolution with stride 2 that pads as TensorFlow and JAX do: an even side at its end alone."""

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[2:]
        return super().forward(pad(input, (width % 2, 1, height % 2, 1)))


def _conv(channels: int, out: int, kernel: int, stride: int = 1, padding: str = "symmetric") -> nn.Conv2d:
    if padding == "same" and stride == 2:
        conv: nn.Conv2d = _SamePadded(channels, out, kernel, stride=stride, bias=False)
    else:
        conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.normal_(conv.weight, std=sqrt(2 / (kernel * kernel * out)))
    return conv
