"""ACN-base: the normalization parameters as a linear map of the one-hot context."""

import torch
from torch import Tensor, nn

from dacn.nn import functional as F
from dacn.nn.context_norm import ContextNorm


class AdaptiveContextNormBase(ContextNorm):
    """ACN-base: ``mean = W1 onehot(c) + b1``, ``log_std = W2 onehot(c) + b2``, learned by the task's loss.

    The same family as `AdaptiveContextNorm` with ``fit="task"``, but the offsets b1 and b2 are shared, so that every
    row's gradient moves every context a little.

    Args:
        num_features: channels C.
        num_contexts: contexts K.
        init: ``"data"`` starts each context at the moments of its first batch, ``"standard"`` at mean 0 and std 1.
        eps, affine, channels_last: see `ContextNorm`.

    Shape: x ``(B, C, ...)``, context ``(B,)``; returns the shape of x.

    Raises:
        ValueError: an argument out of its range; in training, no context.

    Reference: Faye et al. 2024, arXiv 2409.04759 (called CN in the authors' earlier repository).
    """

    def __init__(
        self,
        num_features: int,
        num_contexts: int,
        *,
        init: str = "data",
        eps: float = 1e-5,
        affine: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(num_features, num_contexts, eps=eps, affine=affine, channels_last=channels_last)
        if init not in ("data", "standard"):
            raise ValueError(f"init must be 'data' or 'standard', got {init!r}")
        self.init = init
        # W1 and W2, stored as one row a context: a one-hot input picks a row. Bare parameters, not torch.nn.Linear,
        # since they are normalization parameters and take no weight decay.
        self.mean_weight = nn.Parameter(torch.zeros(num_contexts, num_features))
        self.mean_bias = nn.Parameter(torch.zeros(num_features))
        self.log_std_weight = nn.Parameter(torch.zeros(num_contexts, num_features))
        self.log_std_bias = nn.Parameter(torch.zeros(num_features))

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance, ``(K, C)`` each."""
        return self.mean_weight + self.mean_bias, (2 * (self.log_std_weight + self.log_std_bias)).exp()

    def normalize_batch(self, x: Tensor, context: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the training output; a context that occurs for the first time starts at its rows' moments."""
        all_started = self.all_started(x)
        if not all_started:
            self._start(F.context_moments(x.detach(), context, self.num_contexts))
        y = F.context_affine(x, context, *self.tables(), weight, bias, self.eps)
        self.update_frequency(F.context_count(context, self.num_contexts), all_started=all_started)
        return y

    @torch.no_grad()
    def _start(self, moments: F.Moments) -> None:
        if self.init == "data":
            new = ((moments.count > 0) & ~self.initialized)[:, None]  # (K, 1)
            log_std = 0.5 * moments.var.clamp_min(self.eps).log()
            self.mean_weight.copy_(torch.where(new, moments.mean - self.mean_bias, self.mean_weight))
            self.log_std_weight.copy_(torch.where(new, log_std - self.log_std_bias, self.log_std_weight))
