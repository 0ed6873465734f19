"""Wide residual network in the layout of the AdaMatch and FixMatch code."""

from collections.abc import Callable
from math import sqrt
from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from dacn.config import Config
from dacn.nn import takes_context


class WideResNetConfig(Config):
    """Wide residual network, arXiv 1605.07146."""

    name: Literal["wide_resnet"] = "wide_resnet"
    depth: int = Field(28, ge=10, le=100, description="convolutions: 6n + 4")
    width: int = Field(2, ge=1, le=20, description="widening factor")

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

    Shape: x ``(B, 3, H, W)``, context ``(B,)``; returns ``(B, 64 * width)``.

    Reference: arXiv 1605.07146; google-research/adamatch for the layout: the first block activates before the residual
    branches off, convolutions start from N(0, 2 / (k * k * out)).
    """

    takes_context = True

    def __init__(self, norm: Callable[[int], nn.Module], depth: int = 28, width: int = 2) -> None:
        super().__init__()
        self.out_features = 64 * width
        self.stem = _conv(3, 16, 3)
        self.blocks = nn.ModuleList()
        channels = 16
        for group, out in enumerate((16 * width, 32 * width, 64 * width)):
            for i in range((depth - 4) // 6):
                stride = 2 if group and not i else 1
                self.blocks.append(_Block(channels, out, stride, norm, activate_residual=not group and not i))
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
        self, channels: int, out: int, stride: int, norm: Callable[[int], nn.Module], activate_residual: bool
    ) -> None:
        super().__init__()
        self.activate_residual = activate_residual
        self.norm1, self.conv1 = norm(channels), _conv(channels, out, 3, stride)
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


def _conv(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.normal_(conv.weight, std=sqrt(2 / (kernel * kernel * out)))
    return conv
