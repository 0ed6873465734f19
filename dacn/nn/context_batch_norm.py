"""Context batch normalization: BatchNorm's statistics, kept for each context apart."""

import torch
from torch import Tensor, nn

from dacn.nn import functional as F
from dacn.nn.context_norm import ContextNorm
from dacn.nn.passes.choose import positions_of


class ContextBatchNorm(ContextNorm):
    """CN: each context's rows get their own batch statistics in training and running statistics in evaluation.

    With ``affine="own"`` and the domain as the context it is domain-specific BatchNorm, gamma and beta apart as well.
    With one context it is BatchNorm.

    Args:
        num_features: channels C.
        num_contexts: contexts K.
        momentum: weight of the newest batch in the running statistics, 0 to 1 (torch's convention): 0 leaves them as
            they are, None is the plain average of all batches in which the context occurred.
        affine: ``"shared"`` gamma and beta for all contexts, ``"own"`` for each, ``"none"``.
        eps, channels_last: see `ContextNorm`.

    Shape: x ``(B, C, ...)``, context ``(B,)``; returns the shape of x.

    Raises:
        ValueError: an argument out of its range; in training, no context.

    Reference: Chang et al. 2019, arXiv 1906.03950.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor  # (K,), of momentum None alone

    def __init__(
        self,
        num_features: int,
        num_contexts: int,
        *,
        momentum: float | None = 0.1,
        affine: str = "shared",
        eps: float = 1e-5,
        channels_last: bool = False,
    ) -> None:
        if affine not in ("shared", "own", "none"):
            raise ValueError(f"affine must be 'shared', 'own' or 'none', got {affine!r}")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be from 0 to 1, or None for a plain average, got {momentum}")
        super().__init__(num_features, num_contexts, eps=eps, affine=affine == "shared", channels_last=channels_last)
        self.momentum = momentum
        if affine == "own":
            self.weight = nn.Parameter(torch.ones(num_contexts, num_features))
            self.bias = nn.Parameter(torch.zeros(num_contexts, num_features))
        if momentum is None:
            self.register_buffer("num_batches_tracked", torch.zeros(num_contexts, dtype=torch.int64))
        self.register_buffer("running_mean", torch.zeros(num_contexts, num_features))
        self.register_buffer("running_var", torch.ones(num_contexts, num_features))

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the running mean and variance, ``(K, C)`` each."""
        return self.running_mean, self.running_var

    def normalize_batch(self, x: Tensor, context: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return each context's rows normalized by their own batch statistics, and follow those."""
        moments = F.context_moments(x, context, self.num_contexts)
        self._follow(moments, samples=positions_of(x))
        self.update_frequency(moments.count, all_started=self.all_started(x))
        return F.context_affine(x, context, moments.mean, moments.var, weight, bias, self.eps, batch_statistics=True)

    @torch.no_grad()
    def _follow(self, moments: F.Moments, samples: int) -> None:
        """Move the running statistics, with BatchNorm's unbiased variance; ``samples`` positions a row."""
        if self.momentum is None:
            self.num_batches_tracked.add_(moments.count > 0)
            step: float | Tensor = 1 / self.num_batches_tracked.clamp_min(1)[:, None].to(moments.count.dtype)  # (K, 1)
        else:
            step = self.momentum
        others = (moments.count * samples - 1).clamp_min_(1).unsqueeze(1)  # (K, 1), n - 1
        unbiased = torch.addcdiv(moments.var, moments.var, others)  # var * n / (n - 1)
        F.follow_where_occurring(self.running_mean, moments.mean, moments.count, step)
        F.follow_where_occurring(self.running_var, unbiased, moments.count, step)
