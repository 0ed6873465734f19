"""Six convolutions: what two CPU cores train in minutes."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from dacn.config import Config
from dacn.nn import ContextSequential


class SmallCnnConfig(Config):
    """Six 3x3 convolutions, the first with stride 2."""

    name: Literal["small_cnn"] = "small_cnn"
    width: int = Field(
        32, ge=4, le=512, description="channels of the first pair; the next pairs have 2 and 3 times as many"
    )


class SmallCnn(nn.Module):
    """Three pairs of 3x3 convolutions at widths w, 2w and 3w, then a mean over positions.

    Norm and leaky ReLU 0.1 follow each convolution. The first convolution has stride 2 and each later pair begins after
    a 2x2 max-pool: 32x32 images end as 4x4 maps.

    Args:
        norm: makes the normalization layer for a number of channels.
        width: w.

    Shape: x ``(B, 3, H, W)``, context ``(B,)``; returns ``(B, 3w)``.
    """

    takes_context = True

    def __init__(self, norm: Callable[[int], nn.Module], width: int = 24) -> None:
        super().__init__()
        self.out_features = 3 * width
        layers: list[nn.Module] = []
        channels = 3
        for pair, out in enumerate((width, 2 * width, 3 * width)):
            if pair:
                layers.append(nn.MaxPool2d(2))
            for first in (True, False):
                stride = 2 if first and not pair else 1
                conv = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
                nn.init.kaiming_normal_(conv.weight, a=0.1, nonlinearity="leaky_relu")
                layers += [conv, norm(out), nn.LeakyReLU(0.1, inplace=True)]
                channels = out
        self.layers = ContextSequential(*layers)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the feature vectors."""
        maps: Tensor = self.layers(x, context)  # (B, 3w, H/8, W/8)
        return maps.mean(dim=(2, 3))
