"""What all layers share that normalize by the components of a mixture, and not by a given context."""

import torch
from torch import Tensor, nn

from dacn.nn.precision import without_autocast


class ComponentNorm(nn.Module):
    """Base of the layers whose contexts are the components of a mixture, found and not given.

    A layer says what its mixture is and how it normalizes (`normalize`); this base does the rest: shapes, precision and
    the affine map.

    Args:
        num_features: channels C.
        components: Gaussians K.
        eps: added to variances.
        affine: learn gamma and beta, shared by all components.
        channels_last: the channels are the last dimension, as in token tensors ``(B, L, C)``.

    Shape: x ``(B, C)``, ``(B, C, L)`` or ``(B, C, H, W)``, with ``channels_last`` ``(B, ..., C)``; returns the shape
    of x.

    Raises:
        ValueError: sizes below one.
    """

    def __init__(
        self, num_features: int, components: int, *, eps: float = 1e-5, affine: bool = True, channels_last: bool = False
    ) -> None:
        super().__init__()
        if num_features < 1 or components < 1:
            raise ValueError(f"num_features and components must be at least 1, got {num_features} and {components}")
        self.num_features, self.components = num_features, components
        self.eps, self.channels_last = eps, channels_last
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None  # gamma (C,)
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None  # beta (C,)

    def normalize(self, x: Tensor) -> Tensor:
        """Return the output for ``x (B, C, ...)``, never in half precision, and in training update what is learned."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalized by the components."""
        if self.channels_last:
            x = x.movedim(-1, 1)
        with without_autocast(x):
            dtype = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
            y = self.normalize(x.to(dtype)).to(x.dtype)
        return y.movedim(1, -1) if self.channels_last else y

    def _affine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma and beta ``(C,)`` in the type of x, ones and zeros where the layer has no affine map."""
        if self.weight is None or self.bias is None:
            return x.new_ones(self.num_features), x.new_zeros(self.num_features)
        return self.weight.to(x.dtype), self.bias.to(x.dtype)

    def extra_repr(self) -> str:
        """Return the sizes, as torch's own layers do."""
        affine = self.weight is not None
        return f"{self.num_features}, components={self.components}, eps={self.eps}, affine={affine}"
