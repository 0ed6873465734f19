"""How long a run will take, told before it starts."""

import copy
import time

import torch
from torch import nn

PROBE = 32  # images


def estimate_seconds(model: nn.Module, image_size: int, images: int) -> float:
    """Return about how long training will be busy with ``images`` views, from one small step of a copy of ``model``.

    Args:
        model: called as ``model(x, context)``.
        image_size: side in pixels.
        images: views in the whole run.
    """
    with torch.random.fork_rng():  # the run's own random numbers stay as they were
        network = copy.deepcopy(model).train()
        device = next(network.parameters()).device
        x = torch.rand(PROBE, 3, image_size, image_size, device=device).contiguous(memory_format=torch.channels_last)
        context = torch.zeros(PROBE, dtype=torch.int64, device=device)
        seconds = 0.0
        for _ in range(2):  # the first one warms up
            start = time.perf_counter()
            network(x, context).logsumexp(dim=1).sum().backward()
            seconds = time.perf_counter() - start
    return seconds / PROBE * images


def in_words(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> in_words(90), in_words(3 * 3600), in_words(20 * 86400)
    ('2 minutes', '3 hours', '20 days')
    """
    for unit, length in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1, seconds / 60):.0f} minutes"
