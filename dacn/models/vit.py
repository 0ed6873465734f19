"""A small vision transformer, whose norm works on tokens."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from dacn.config import Config
from dacn.nn import takes_context
from dacn.nn.convert.channels_last import make_over_last


class VitConfig(Config):
    """Vision transformer, arXiv 2010.11929, small enough for 32x32 images."""

    name: Literal["vit"] = "vit"
    patch: int = Field(4, ge=1, le=64, description="pixels of a patch's side; divides those of the image's")
    depth: int = Field(6, ge=1, le=48, description="blocks")
    width: int = Field(192, ge=8, le=2048, description="channels of a token")
    heads: int = Field(3, ge=1, le=64, validate_default=True, description="of attention; divides the width")
    where: Literal["first", "every"] = Field(
        "first", description="where model.norm is: before the first block, or also in every block"
    )
    grid: int = Field(
        8, ge=1, le=128, description="learned positions a side, interpolated for another number of patches"
    )

    @field_validator("heads")
    @classmethod
    def _divides_the_width(cls, heads: int, info: ValidationInfo) -> int:
        width = info.data.get("width", heads)  # absent where it did not hold itself
        if width % heads:
            raise ValueError(
                f"must divide the width {width}, such as {max(h for h in range(1, heads) if not width % h)}"
            )
        return heads


class Vit(nn.Module):
    """Patches as tokens, blocks of attention and a two-layer network, and a mean over tokens in place of a class token.

    The norm of the recipe comes first, on the embedded patches, as in arXiv 2409.04759; with ``where="every"`` it also
    takes the place of both LayerNorms of every block. The last norm, before the mean, is a LayerNorm.

    Args:
        norm: makes the normalization layer for a number of channels, one of tokens with ``channels_last=True``.
        patch: pixels of a patch's side.
        depth: blocks.
        width: channels C of a token.
        heads: of attention.
        where: ``"first"`` or ``"every"``.
        grid: learned positions a side; bilinear in between where the image has another number of patches.

    Shape: x ``(B, 3, H, W)`` with H and W multiples of the patch, context ``(B,)``; returns ``(B, C)``.

    Reference: Dosovitskiy et al. 2021, arXiv 2010.11929; without the class token as in arXiv 2205.01580.
    """

    takes_context = True

    def __init__(
        self,
        norm: Callable[..., nn.Module],
        patch: int = 4,
        depth: int = 6,
        width: int = 192,
        heads: int = 3,
        where: str = "first",
        grid: int = 8,
    ) -> None:
        super().__init__()
        self.out_features, self.patch = width, patch

        def inner() -> nn.Module:
            return make_over_last(norm, width) if where == "every" else nn.LayerNorm(width)

        self.embed = nn.Conv2d(3, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.empty(1, width, grid, grid))
        self.first = norm(width)
        self.blocks = nn.ModuleList(_Block(inner(), inner(), width, heads) for _ in range(depth))
        self.last = nn.LayerNorm(width)
        nn.init.trunc_normal_(self.positions, std=0.02)
        nn.init.trunc_normal_(self.embed.weight, std=(3 * patch * patch) ** -0.5)
        nn.init.zeros_(self.embed.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the feature vectors."""
        height, width = x.shape[-2:]
        torch._assert(
            height % self.patch + width % self.patch == 0, f"images are not whole patches of {self.patch} pixels"
        )
        maps = _normalize(self.first, self.embed(x), context)  # (B, C, H / patch, W / patch)
        maps = maps + interpolate(self.positions, size=maps.shape[-2:], mode="bilinear")
        tokens = maps.flatten(2).transpose(1, 2)  # (B, L, C)
        for block in self.blocks:
            tokens = block(tokens, context)
        features: Tensor = self.last(tokens).mean(dim=1)
        return features


class _Block(nn.Module):
    """Attention, then a two-layer network at each token; both see normalized tokens and add to what they were given."""

    def __init__(self, norm1: nn.Module, norm2: nn.Module, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv, self.project = norm1, _linear(width, 3 * width), _linear(width, width)
        self.norm2, self.mlp = norm2, nn.Sequential(_linear(width, 4 * width), nn.GELU(), _linear(4 * width, width))

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        x = x + self.attend(_normalize(self.norm1, x, context))
        y: Tensor = self.mlp(_normalize(self.norm2, x, context))
        return x + y

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, L, C / heads)
        y = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, L, C)
        projected: Tensor = self.project(y)
        return projected


def _linear(width: int, out: int) -> nn.Linear:
    linear = nn.Linear(width, out)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear


def _normalize(norm: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    y: Tensor = norm(x, context) if takes_context(norm) else norm(x)
    return y
