"""How long a GPU works, beside how long it is waited for."""

from collections.abc import Callable, Iterable

import torch
from torch.profiler import ProfilerActivity, profile

from dacn.bench.timing import wait_for


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of what at least one of the spans ``(start, end)`` covers.

    >>> covered([(0, 2), (5, 6), (1, 3)])
    4.0
    """
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def busy_seconds(call: Callable[[], object], device: torch.device) -> float | None:
    """Return the seconds in which a GPU works while it does what ``call`` gives it to do; None for a CPU.

    Kernels and copies that overlap count once.
    """
    if device.type != "cuda":
        return None
    wait_for(device)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        call()
        wait_for(device)
    spans = [event.time_range for event in profiler.events() or () if event.device_type.name == "CUDA"]
    return covered((span.start, span.end) for span in spans) / 1e6  # from microseconds
