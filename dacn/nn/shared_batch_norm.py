"""BatchNorm whose statistics are those of the whole batch, where several processes hold a share of it each."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.nn import functional as F
from dacn.nn import processes


class SharedBatchNorm(_BatchNorm):
    """`torch.nn.BatchNorm2d` and its kin over all processes, on any device; `torch.nn.SyncBatchNorm` needs a GPU.

    Args, shapes and state are BatchNorm's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by the whole batch's statistics in training, by the running ones in evaluation."""
        if not self.training:
            return super().forward(input)
        context = torch.zeros(len(input), dtype=torch.int64, device=input.device)
        moments = F.context_moments(input, context, 1)
        weight, bias = (
            default if given is None else given
            for given, default in (
                (self.weight, torch.ones_like(moments.mean[0])),
                (self.bias, torch.zeros_like(moments.mean[0])),
            )
        )
        self._follow(moments, samples=input[0, 0].numel())
        y = F.context_affine(
            input, context, moments.mean, moments.var, weight[None], bias[None], self.eps, batch_statistics=True
        )
        return y

    @torch.no_grad()
    def _follow(self, moments: F.Moments, samples: int) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        n = moments.count[0] * samples
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        step: Any = self.momentum  # None: the plain average of all batches
        if step is None:
            step = 1 / self.num_batches_tracked.to(self.running_mean.dtype)  # type: ignore[union-attr]
        self.running_mean.lerp_(moments.mean[0].to(self.running_mean.dtype), step)
        unbiased = moments.var[0] * n / (n - 1).clamp_min(1)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), step)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of dimensions."""


def share_statistics(module: nn.Module, device: torch.device) -> nn.Module:
    """Return ``module`` with every BatchNorm in it replaced by one over all processes; itself where there is one."""
    if processes.count() == 1:
        return module
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call, no-any-return]
    for name, layer in module.named_children():
        if isinstance(layer, _BatchNorm):
            shared = SharedBatchNorm(layer.num_features, layer.eps, layer.momentum, layer.affine)
            shared.load_state_dict(layer.state_dict())
            module.add_module(name, shared)
        else:
            share_statistics(layer, device)
    return module
