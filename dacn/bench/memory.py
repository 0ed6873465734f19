"""How much memory was in use."""

import sys

import torch


def peak_megabytes(device: torch.device) -> float | None:
    """Return the most memory that was in use at once; None where the system does not count it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
