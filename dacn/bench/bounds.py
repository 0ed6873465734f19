"""What a GPU could do at most: images a second by its memory bandwidth and by its arithmetic, both measured here."""

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dacn.bench.timing import interleave

FORWARD_AND_BACKWARD = 3
"""A convolution's backward pass is two of its size, so its work and its traffic are three times the forward's."""


def count_work(network: nn.Module, x: Tensor, context: Tensor, element_bytes: int) -> tuple[float, float]:
    """Return the arithmetic and the least memory traffic of one forward and backward pass, in FLOP and bytes.

    Traffic: each convolution and linear layer reads its input and writes its output once in each of three passes. What
    lies between two of them (norm, activation, addition) counts as fused into these, so no program reaches the bound
    where a norm needs statistics of its batch.

    Args:
        network: called as ``network(x, context)``.
        x, context: one step's views.
        element_bytes: of activations: 2 in bf16, 4 in fp32.
    """
    elements = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal elements
        elements += inputs[0].numel() + output.numel()

    kernels = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [kernel.register_forward_hook(add) for kernel in kernels]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x, context)
    for hook in hooks:
        hook.remove()
    flop = FORWARD_AND_BACKWARD * float(counter.get_total_flops())
    return flop, float(FORWARD_AND_BACKWARD * elements * element_bytes)


def measure_bandwidth(device: torch.device, megabytes: int = 1024) -> float:
    """Return bytes a second of a copy, reading and writing counted."""
    source = torch.empty(megabytes << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _seconds(lambda: target.copy_(source), device)


def measure_arithmetic(device: torch.device, dtype: torch.dtype, size: int = 8192) -> float:
    """Return FLOP a second of a product of two square matrices."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: a @ b, device)


def bound(
    network: nn.Module, x: Tensor, context: Tensor, images: int, *, bf16: bool, bandwidth: float, arithmetic: float
) -> dict[str, Any]:
    """Return images a second at the two bounds, and which one binds."""
    flop, traffic = count_work(network, x, context, element_bytes=2 if bf16 else 4)
    by_bandwidth, by_arithmetic = images * bandwidth / traffic, images * arithmetic / flop
    return {
        "bandwidth_gb_per_second": bandwidth / 1e9,
        "arithmetic_tflop_per_second": arithmetic / 1e12,
        "step_gb": traffic / 1e9,
        "step_tflop": flop / 1e12,
        "images_per_second_by_bandwidth": by_bandwidth,
        "images_per_second_by_arithmetic": by_arithmetic,
        "images_per_second": min(by_bandwidth, by_arithmetic),
    }


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    return median(interleave({"call": call}, 10, device)["call"])
