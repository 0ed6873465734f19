"""What all layers with parameters per context share."""

from typing import Any

import torch
from torch import Tensor, nn

from dacn.nn import functional as F
from dacn.nn import processes
from dacn.nn.context import check_context, context_of_rows
from dacn.nn.passes.choose import supports
from dacn.nn.precision import without_autocast


class ContextNorm(nn.Module):
    """Base of the layers that normalize each row by the mean and variance of its context.

    A layer says where the moments come from (`tables`, `normalize_batch`); this base does the rest: shapes, the affine
    map, how often each context occurred, and inference for rows whose context is unknown.

    Args:
        num_features: channels C.
        num_contexts: contexts K.
        eps: added to variances.
        affine: learn gamma and beta, shared by all contexts.
        channels_last: the channels are the last dimension, as in token tensors ``(B, L, C)``.

    Shape: x ``(B, C)``, ``(B, C, L)`` or ``(B, C, H, W)``, with ``channels_last`` ``(B, ..., C)``; context ``(B,)``;
    returns the shape of x.

    Raises:
        ValueError: sizes below one; x with another number of channels; a context of another length than x, of another
            type than int64 or out of range; in training, no context.
    """

    takes_context = True
    started = False
    """Whether every context is known to have occurred, as `refresh_started` last found it."""
    frequency: Tensor
    initialized: Tensor

    def __init__(
        self,
        num_features: int,
        num_contexts: int,
        *,
        eps: float = 1e-5,
        affine: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        if num_features < 1 or num_contexts < 1:
            raise ValueError(f"num_features and num_contexts must be at least 1, got {num_features} and {num_contexts}")
        self.num_features, self.num_contexts = num_features, num_contexts
        self.eps, self.channels_last = eps, channels_last
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None  # gamma (C,)
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None  # beta (C,)
        self.register_buffer("frequency", torch.zeros(num_contexts))  # running share of the rows, the posterior's prior
        self.register_buffer("initialized", torch.zeros(num_contexts, dtype=torch.bool))  # contexts seen in training

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the mean and variance of every context, ``(K, C)`` each, as evaluation uses them."""
        raise NotImplementedError

    def normalize_batch(self, x: Tensor, context: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the training output for ``x (B, C, ...)`` and update what is learned; weight, bias (C,) or (K, C)."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Normalize each row by its context, or by the mixture of all contexts where it is unknown."""
        if context is not None:
            context = context_of_rows(context, x)
            check_context(context, x.shape[0], self.num_contexts)
        if self.channels_last:
            x = x.movedim(-1, 1)
        if x.shape[1] != self.num_features:
            raise ValueError(f"x must have {self.num_features} channels, got {x.shape[1]} in {tuple(x.shape)}")
        if self.training and context is None:
            raise ValueError(f"{type(self).__name__} needs the context of each row in training, got None")
        if self.training and x.numel() == 0 and processes.count() == 1:  # of several, one may have no rows
            raise ValueError(
                f"{type(self).__name__} has no statistics of an empty batch, got {tuple(x.shape)} in training; "
                "leave such a batch out"
            )
        with without_autocast(x):
            y = self._normalize(x, context)
        return y.movedim(1, -1) if self.channels_last else y

    def _normalize(self, x: Tensor, context: Tensor | None) -> Tensor:
        weight, bias = self._affine(x)
        if self.training:
            assert context is not None
            return self.normalize_batch(x, context, weight, bias)
        mean, var = self.tables()
        if context is None:
            return F.mixture_affine(x, self.posterior(x), mean, var, weight, bias, self.eps)
        return F.context_affine(x, context, mean, var, weight, bias, self.eps)

    def posterior(self, x: Tensor) -> Tensor:
        """Return the probability of each context for every row of ``x (B, C, ...)``: ``(B, K)``."""
        mean, var = self.tables()
        # The prior shuts out contexts that never occurred; it is uniform in a layer that was never trained.
        occurred = self.initialized | ~self.initialized.any()  # (K,)
        log_prior = self.frequency.clamp_min(1e-12).log().where(occurred, -torch.inf)
        with without_autocast(x):
            return F.context_posterior(x, mean, var + self.eps, log_prior)

    def affine_tables(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma and beta as ``(K, C)``, ones and zeros where the layer has no affine map."""
        weight, bias = self._affine(x)
        shape = (self.num_contexts, self.num_features)
        return weight.expand(shape), bias.expand(shape)

    def _affine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma and beta as they are kept, ``(C,)`` or ``(K, C)``."""
        if self.weight is None or self.bias is None:
            mean, _ = self.tables()
            return mean.new_ones(self.num_features), mean.new_zeros(self.num_features)
        return self.weight, self.bias

    def all_started(self, x: Tensor) -> bool:
        """Whether every context has occurred. Where asking would make the host wait, `started` is what it last knew."""
        return all(self.initialized.tolist()) if supports(x) and self.initialized.is_cpu else self.started

    @torch.no_grad()
    def update_frequency(self, count: Tensor, *, all_started: bool = False) -> None:
        """Follow the share of each context's rows, ``count (K,)``, and mark the contexts that occurred."""
        share = (count / count.sum()).to(self.frequency.dtype)
        if all_started:
            self.frequency.lerp_(share, 0.01)
            return
        self.frequency.copy_(torch.where(self.initialized.any(), self.frequency.lerp(share, 0.01), share))
        self.initialized.logical_or_(count > 0)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.started = False  # of what was loaded nothing is known yet

    def extra_repr(self) -> str:
        """Return the sizes, as torch's own layers do."""
        return f"{self.num_features}, contexts={self.num_contexts}, eps={self.eps}, affine={self.weight is not None}"


def refresh_started(model: nn.Module) -> bool:
    """Let every layer in ``model`` know whether all of its contexts have occurred; return whether one learned so.

    Layers whose Gaussians are learned by the task need a batch's moments only until then. On a GPU, and in a compiled
    network, a layer does not ask its own buffer, for the host would have to wait at every step: a training loop calls
    this now and then, at a logged step for instance. It waits once for all layers. Where a layer learned something, a
    compiled network compiles once more, and a captured graph has to be captured again.

    >>> layer = ContextNorm(3, num_contexts=2)
    >>> refresh_started(layer), layer.started
    (False, False)
    """
    layers = [layer for layer in model.modules() if isinstance(layer, ContextNorm)]
    if not layers:
        return False
    known = torch.stack([layer.initialized.all() for layer in layers]).tolist()
    news = [started != layer.started for layer, started in zip(layers, known, strict=True)]
    for layer, started in zip(layers, known, strict=True):
        layer.started = started
    return any(news)
