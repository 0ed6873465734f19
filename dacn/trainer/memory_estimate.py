"""How much memory training will take, told before it starts."""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from dacn.nn import without_refits

PROBE = 4  # images that are passed through a copy of the network
GB = 1e9


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds on its device at once, but for the images.

    Args:
        weights: of the algorithm's networks: weights, gradients, the optimizer's state and the averaged network.
        activations: what a step keeps for its backward pass.
        views: that go through the network at once.
    """

    weights: int
    activations: int
    views: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.activations


def estimate_memory(
    algorithm: nn.Module,
    optimizer: torch.optim.Optimizer,
    image_size: tuple[int, int],
    views: int,
    *,
    bf16: bool = False,
) -> MemoryEstimate:
    """Return what a step will take, from one forward of a few images in a copy of the network.

    What compiled code saves and the workspace of libraries is not known.

    Args:
        algorithm: with its network as ``model``.
        optimizer: of its parameters.
        image_size: height and width in pixels.
        views: that go through the network at once.
        bf16: whether under autocast in bfloat16.
    """
    held = [p for group in optimizer.param_groups for p in group["params"]]
    moments = 2 if isinstance(optimizer, torch.optim.AdamW) else 1
    network = [*algorithm.model.parameters(), *algorithm.model.buffers()]  # type: ignore[union-attr]
    weights = sum(map(_size, [*algorithm.parameters(), *algorithm.buffers(), *network]))  # and its average
    weights += (1 + moments) * sum(map(_size, held))
    kept = _kept_for_backward(algorithm.model, image_size, bf16=bf16)  # type: ignore[arg-type]
    return MemoryEstimate(weights, math.ceil(kept / PROBE * views), views)


def available_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on a device; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _kept_for_backward(model: nn.Module, image_size: tuple[int, int], *, bf16: bool) -> int:
    """Return the bytes of the activations that a forward of `PROBE` images keeps, each memory counted once."""
    kept: dict[StorageWeakRef, int] = {}
    with torch.random.fork_rng():  # the run's own random numbers stay as they were
        network = copy.deepcopy(model).train()
        own = {_place(tensor) for tensor in (*network.parameters(), *network.buffers())}

        def note(tensor: Tensor) -> Tensor:
            if tensor.layout == torch.strided and (place := _place(tensor)) not in own:
                kept[place] = tensor.untyped_storage().nbytes()
            return tensor

        like = next(network.parameters())
        x = torch.rand(PROBE, 3, *image_size, device=like.device).contiguous(memory_format=torch.channels_last)
        context = torch.zeros(PROBE, dtype=torch.int64, device=like.device)
        autocast = torch.autocast(like.device.type, torch.bfloat16, enabled=bf16)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), autocast, without_refits(network):
            network(x, context)
    return sum(kept.values())


def _place(tensor: Tensor) -> StorageWeakRef:
    """Return what is the same for all tensors in one memory, wherever that is."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
