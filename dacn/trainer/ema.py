"""The averaged network that every evaluation uses."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of weights and running statistics of ``model``, updated after each step.

    It starts from the model, and the decay of update n is ``min(decay, (1 + n) / (10 + n))``: a short run does not drag
    its random start along, and after ``10 / (1 - decay)`` steps the two are the same.

    Args:
        model: the trained network.
        decay: 0 to 1.
    """

    @torch.no_grad()
    def follow(average: Tensors, current: Tensors, updates: Tensor | int) -> None:
        if not average[0].is_floating_point():  # counters and flags are not averaged
            torch._foreach_copy_(average, current)
            return
        share = (1 + updates) / (10 + updates)
        if not isinstance(share, Tensor) or share.device.type == "cpu":
            torch._foreach_lerp_(average, current, 1 - min(float(share), decay))
            return
        weight = (1 - share.clamp_max(decay)).to(average[0].dtype)  # a tensor: the host need not wait for the device
        difference = torch._foreach_sub(current, average)
        torch._foreach_mul_(difference, weight)
        torch._foreach_add_(average, difference)

    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
