"""Each norm layer against BatchNorm, forward and backward on the same tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dacn.bench.timing import interleave, ratios
from dacn.models.norms import NORMS, build_norm
from dacn.nn import takes_context

SHAPES = ((128, 32, 32, 32), (128, 64, 16, 16), (128, 128, 8, 8))
"""Activations of WRN-28-2, ``(B, C, H, W)``, a third of the rows from the source."""


def layers(channels: int) -> dict[str, nn.Module]:
    """Return every layer that recipes can name, with its default options, BatchNorm first."""
    configs: dict[str, Any] = {name: config() for name, (_, config) in NORMS.items() if name != "none"}
    acn = configs.pop("acn")
    configs |= {f"acn, fit: {fit}": acn.model_copy(update={"fit": fit}) for fit in ("task", "likelihood")}
    names = ["bn", *sorted(name for name in configs if name != "bn")]
    return {name: build_norm(configs[name], channels, num_contexts=2) for name in names}


def compare_norms(
    shape: tuple[int, int, int, int],
    rounds: int,
    device: torch.device,
    *,
    compiled: bool,
    seconds: float | None = None,
) -> dict[str, float]:
    """Return each layer's time in units of BatchNorm's.

    Args:
        shape: ``(B, C, H, W)``.
        rounds: measurements of each.
        device: where.
        compiled: whether the layers go through torch.compile, as recipes have it on a GPU by default.
        seconds: see `interleave`.
    """
    generator = torch.Generator().manual_seed(0)
    x, upstream = (
        torch.randn(shape, generator=generator).to(device, memory_format=torch.channels_last) for _ in range(2)
    )
    x.requires_grad_()
    context = (torch.arange(shape[0]) >= shape[0] // 3).long().to(device)
    contenders = {}
    for name, layer in layers(shape[1]).items():
        layer.to(device)
        if compiled:
            layer.compile()
        contenders[name] = _forward_and_backward(layer, x, context, upstream)
    return ratios(interleave(contenders, rounds, device, seconds=seconds), "bn")


def _forward_and_backward(layer: nn.Module, x: Tensor, context: Tensor, upstream: Tensor) -> Callable[[], None]:
    inputs = (x, context) if takes_context(layer) else (x,)

    def run() -> None:
        x.grad = None
        layer.zero_grad()
        layer(*inputs).backward(upstream)

    return run
