"""Mixture Normalization: each sample is normalized by the components of a Gaussian mixture over the activations."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dacn.nn.component_norm import ComponentNorm
from dacn.nn.functional import snapshot
from dacn.nn.mixture import mixture as M
from dacn.nn.mixture import mixture_chunks
from dacn.nn.mixture.expectation_maximization import refit_mixture


class MixtureNorm(ComponentNorm):
    """MN: ``sum_k tau_k(x) / sqrt(lambda_k) * (x - m_k) / sqrt(v_k + eps)``, then gamma and beta.

    Each position's vector of C channels is a sample, and ``tau`` its posterior over the components of a mixture of
    diagonal Gaussians. In training ``m`` and ``v`` are the batch's moments under each component, in evaluation the
    mixture's running ones. EM fits the mixture to the first batch and again every so many steps; in between its
    components follow the batches as running statistics do. A refit starts at the mixture as it stands, so that a
    component stays the same one. With one component this is BatchNorm. It takes no context.

    Args:
        num_features: channels C.
        components: Gaussians K.
        refit_every: training steps between two fits (training forwards, where a step has several micro-batches).
        samples: positions, drawn from one batch, that a fit sees at most.
        momentum: weight of the newest batch in the running moments, 0 to 1 (torch's convention).
        eps: added to variances.
        affine: learn gamma and beta.
        channels_last: the channels are the last dimension, as in token tensors ``(B, L, C)``.

    Shape: x ``(B, C)``, ``(B, C, L)`` or ``(B, C, H, W)``, with ``channels_last`` ``(B, ..., C)``; returns the shape
    of x.

    Raises:
        ValueError: an argument out of its range.

    Reference: Kalayeh and Shah 2018, arXiv 1806.02892.

    >>> layer = MixtureNorm(3, components=2)
    >>> layer(torch.rand(4, 3, 8, 8)).shape
    torch.Size([4, 3, 8, 8])
    """

    running_mean: Tensor
    running_var: Tensor
    mixture_weight: Tensor
    age: Tensor
    spent: Tensor

    def __init__(
        self,
        num_features: int,
        *,
        components: int = 3,
        refit_every: int = 100,
        samples: int = 4096,
        momentum: float = 0.1,
        eps: float = 1e-5,
        affine: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(num_features, components, eps=eps, affine=affine, channels_last=channels_last)
        if refit_every < 1:
            raise ValueError(f"refit_every must be at least 1, got {refit_every}")
        if samples < components:
            raise ValueError(f"samples must be at least the number of components, {components}, got {samples}")
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum must be above 0 and at most 1, got {momentum}")
        self.refit_every, self.samples, self.refits = refit_every, samples, True
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(components, num_features))
        self.register_buffer("running_var", torch.ones(components, num_features))
        # Before the first fit the mixture is of one component: the layer is BatchNorm.
        self.register_buffer("mixture_weight", torch.eye(components)[0])  # (K,), lambda
        self.register_buffer("age", torch.tensor(refit_every))  # steps since the last fit: one is due
        self.register_buffer("spent", torch.zeros(2), persistent=False)  # fits and seconds since `em_seconds` asked

    def normalize(self, x: Tensor) -> Tensor:
        """Return the output for ``x (B, C, ...)``; in training the mixture follows the batch, or is fitted to it."""
        positions = x.movedim(1, -1)  # (B, ..., C)
        y = self._normalize(positions.reshape(-1, self.num_features))
        return y.reshape(positions.shape).movedim(-1, 1)

    def _normalize(self, x: Tensor) -> Tensor:
        """Return the output for samples ``(N, C)``."""
        if self.training and self.refits and self.components > 1:
            refit_mixture(
                x.detach(),
                self.running_mean,
                self.running_var,
                self.mixture_weight,
                self.age,
                self.spent,
                self.refit_every,
                self.samples,
            )
        tables = (self.running_mean, self.running_var, self.mixture_weight)
        gamma, beta = self._affine(x)
        if not self.training:
            chunks = mixture_chunks.fast(x) and not torch.is_grad_enabled()
            normalize = mixture_chunks.normalize if chunks else M.normalize
            return normalize(x, M.Mixture(*(table.to(x.dtype) for table in tables)), gamma, beta, self.eps)
        # As they stand before this batch moves them.
        mixture = M.Mixture(*(snapshot(table).to(x.dtype) for table in tables))
        normalize_batch = mixture_chunks.normalize_batch if mixture_chunks.fast(x) else M.normalize_batch
        y, batch = normalize_batch(x, mixture, gamma, beta, self.eps)
        with torch.no_grad():
            for table, value in zip(tables, M.follow(mixture, batch, len(x), self.momentum), strict=True):
                table.copy_(value)
        return y


def em_seconds(model: nn.Module) -> dict[str, float]:
    """Return how many fits the mixtures in ``model`` had since this was last asked, and the seconds that they took.

    Returns ``{"em_fits": ..., "em_seconds": ...}``, empty without a mixture.

    >>> em_seconds(nn.Linear(2, 2))
    {}
    """
    spent = [layer.spent for layer in model.modules() if isinstance(layer, MixtureNorm)]
    if not spent:
        return {}
    fits, seconds = torch.stack(spent).sum(0).tolist()
    for each in spent:
        each.zero_()
    return {"em_fits": int(fits), "em_seconds": seconds}


@contextmanager
def without_refits(model: nn.Module) -> Iterator[None]:
    """Leave the mixtures in ``model`` as they are within this context, for a training forward that is not a step."""
    layers = [layer for layer in model.modules() if isinstance(layer, MixtureNorm)]
    for layer in layers:
        layer.refits = False
    try:
        yield
    finally:
        for layer in layers:
            layer.refits = True
