"""The input scale that a network's weights were trained on."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class InputScale(nn.Module):
    """Brings images from the loader's scale to that of pretrained weights: ``(pixel / 255 - mean) / std``.

    It is saved with the network, so that whoever uses the weights has it. A network that was saved before there was a
    scale was trained on images as the loader gives them: loading it leaves them so.

    Args:
        mean, std: of each channel, in images from 0 to 1.

    Shape: x ``(B, 3, H, W)``, ``(pixel - 127.5) / 128``; returns the same shape.

    >>> grey = (torch.full((1, 3, 2, 2), 127.5) - 127.5) / 128
    >>> InputScale([0.25] * 3, [0.5] * 3)(grey).unique()
    tensor([0.5000])
    """

    constants = ("mean", "std")

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled images."""
        return (x * (128 / 255) + 0.5 - self.mean) / self.std

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not {f"{prefix}mean", f"{prefix}std"} & {*state_dict}:
            unscaled = {"mean": torch.full_like(self.mean, 0.5), "std": torch.full_like(self.std, 128 / 255)}
            state_dict = state_dict | {prefix + name: value for name, value in unscaled.items()}
        super()._load_from_state_dict(state_dict, prefix, *args)
