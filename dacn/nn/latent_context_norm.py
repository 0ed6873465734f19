"""Normalization by contexts that are not given but discovered, by this package's own way."""

from typing import Any

import torch
from torch import Tensor

from dacn.nn import functional as F
from dacn.nn.component_norm import ComponentNorm
from dacn.nn.mixture import latent
from dacn.nn.mixture.latent_start import start_components
from dacn.nn.precision import without_autocast


class LatentContextNorm(ComponentNorm):
    """Latent contexts: each row is normalized by K learned Gaussians, weighted by their posteriors given the whole row.

    ``sum_k tau_k (x - mean_k) / sqrt(var_k + eps)`` with one posterior for a row, from its log-likelihood averaged over
    channels and positions (log-determinants and all) times ``sharpness``, plus the log of the component's frequency.
    This is the package's own. The context-free "ACN" of arXiv 2403.16798 is another layer, `LearnedMixtureNorm`: its
    posteriors are of single positions, it divides by the root of the prior, and the task's loss learns its mixture.

    The Gaussians are learned as in `AdaptiveContextNorm` with ``fit="likelihood"``, with posteriors in the place of
    contexts: mean and log-std of each are moving averages of its rows' in the batch, weighted by the posteriors. The
    training output is that of the batch's weighted moments with the correction of Batch Renormalization, the
    evaluation's that of the learned Gaussians, which depends on nothing in the batch. It takes no context.

    The first batch is clustered by k-means for a start. A component that loses its rows starts anew at the row that the
    others explain worst.

    Args:
        num_features: channels C.
        components: latent contexts K.
        eta: weight of the newest batch in the moving averages, 0 to 1.
        opening: shares of training, 0 to 1, between which the training output goes over from batch statistics to the
            learned Gaussians; see `open_renorm`.
        opening_steps: the same in training forwards, which the layer counts where nobody calls `open_renorm`.
        sharpness: how often a row's log-likelihood, averaged over channels and positions, counts against the prior. At
            1 posteriors are so soft that components drift into one unless they are several standard deviations apart.
        eps: added to variances.
        affine: learn gamma and beta, shared by all components.
        channels_last: the channels are the last dimension, as in token tensors ``(B, L, C)``.

    Shape: x ``(B, C)``, ``(B, C, L)`` or ``(B, C, H, W)``, with ``channels_last`` ``(B, ..., C)``; returns the shape
    of x.

    Raises:
        ValueError: an argument out of its range.

    Reference: none. Batch Renormalization: arXiv 1702.03275.

    >>> layer = LatentContextNorm(3, components=2)
    >>> layer(torch.rand(4, 3, 8, 8)).shape
    torch.Size([4, 3, 8, 8])
    """

    mean: Tensor
    log_std: Tensor
    frequency: Tensor
    started: Tensor
    rho: Tensor
    delta: Tensor
    steps: Tensor

    def __init__(
        self,
        num_features: int,
        components: int = 2,
        *,
        eta: float = 0.1,
        opening: tuple[float, float] = (0.1, 0.4),
        opening_steps: tuple[int, int] = (100, 400),
        sharpness: float = 20.0,
        eps: float = 1e-5,
        affine: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(num_features, components, eps=eps, affine=affine, channels_last=channels_last)
        if not 0 < eta <= 1:
            raise ValueError(f"eta must be above 0 and at most 1, got {eta}")
        if not 0 <= opening[0] < opening[1] <= 1:
            raise ValueError(f"opening must be two rising shares of training from 0 to 1, got {opening}")
        if not 0 <= opening_steps[0] < opening_steps[1]:
            raise ValueError(f"opening_steps must be two rising numbers of training forwards, got {opening_steps}")
        if not sharpness > 0:
            raise ValueError(f"sharpness must be above 0, got {sharpness}")
        self.eta, self.opening, self.opening_steps, self.sharpness = eta, opening, opening_steps, sharpness
        self.least_frequency = 0.05 / components  # a component below it has lost its rows
        self.register_buffer("mean", torch.zeros(components, num_features))
        self.register_buffer("log_std", torch.zeros(components, num_features))
        self.register_buffer("frequency", torch.full((components,), 1 / components))  # running share of the rows
        self.register_buffer("started", torch.tensor(False))
        self.register_buffer("rho", torch.tensor(1.0), persistent=False)  # renorm's limits, opened by `open_renorm`
        self.register_buffer("delta", torch.tensor(0.0), persistent=False)
        self.register_buffer("steps", torch.tensor(0))  # training forwards, as far as the layer opens by itself
        self.opened = 0.0  # how far `open_renorm` has opened them, 0 to 1
        self.told = False  # whether it was ever called; read in forward, where a compiler would guard a number

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance, ``(K, C)`` each."""
        return self.mean, (2 * self.log_std).exp()

    def posterior(self, x: Tensor) -> Tensor:
        """Return the probability of each component for every row of ``x (B, C, ...)``: ``(B, K)``."""
        with without_autocast(x):
            return self._posterior(latent.row_moments(x), *self.tables(), self.frequency)

    def normalize(self, x: Tensor) -> Tensor:
        """Return the output for ``x (B, C, ...)``; in training the Gaussians follow the batch."""
        gamma, beta = (each.expand(self.components, self.num_features) for each in self._affine(x))  # (K, C)
        rows = latent.row_moments(x)
        if self.training:
            row_mean, row_var = rows.mean.detach(), rows.var.detach()
            start_components(row_mean, row_var, self.mean, self.log_std, self.frequency, self.started, self.eps)
        tables = [self.mean, self.log_std, self.frequency]
        if self.training:  # as they stand before this batch moves them
            tables = [F.snapshot(table) for table in tables]
        mean, log_std, frequency = (table.to(x.dtype) for table in tables)
        var = (2 * log_std).exp()
        posterior = self._posterior(rows, mean, var, frequency)  # (B, K)
        if not self.training:
            return F.mixture_affine(x, posterior, mean, var, gamma, beta, self.eps)
        moments = latent.weighted_moments(rows, posterior)
        if not self.told:
            F.open_by_steps(self.steps, self.opening_steps, self.rho, self.delta)
        self._follow(moments)
        self._revive(rows, mean, var)
        r, d = F.renorm_correction(moments, mean, var, self.eps, self.rho, self.delta)
        return F.mixture_affine(x, posterior, moments.mean, moments.var, r * gamma, d * gamma + beta, self.eps)

    def _posterior(self, rows: latent.Rows, mean: Tensor, var: Tensor, frequency: Tensor) -> Tensor:
        log_prior = frequency.clamp_min(self.least_frequency).log()
        return torch.softmax(self.sharpness * latent.log_likelihood(rows, mean, var + self.eps) + log_prior, dim=1)

    @torch.no_grad()
    def _follow(self, moments: F.Moments) -> None:
        """Move the averages by a step, shorter for a component that has fewer of the rows than usual."""
        share = moments.count / moments.count.sum()  # (K,)
        step = self.eta * (share / self.frequency.clamp_min(self.least_frequency)).clamp_max(1)[:, None]
        self.mean.lerp_(moments.mean.to(self.mean.dtype), step.to(self.mean.dtype))
        self.log_std.lerp_(self._log_std_of(moments.var).to(self.mean.dtype), step.to(self.mean.dtype))
        self.frequency.lerp_(share.to(self.frequency.dtype), 0.01)

    @torch.no_grad()
    def _revive(self, rows: latent.Rows, mean: Tensor, var: Tensor) -> None:
        """Start the rarest component anew, if it has lost its rows, at the one that all explain worst."""
        rarest = self.frequency.argmin()
        lost = (self.frequency < self.least_frequency) & (torch.arange(len(mean), device=rarest.device) == rarest)
        likelihood, component = latent.log_likelihood(rows, mean, var + self.eps).max(1)  # (B,)
        row = likelihood.argmin()[None]
        self._set(self.mean, rows.mean[row], lost[:, None])
        self._set(self.log_std, 0.5 * var[component[row]].log(), lost[:, None])  # as wide as the one it was in
        self._set(self.frequency, torch.full_like(self.frequency, self.least_frequency), lost)

    def _set(self, table: Tensor, value: Tensor, where: Tensor) -> None:
        table.copy_(torch.where(where, value.to(table.dtype), table))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.setdefault(prefix + "steps", self.steps)  # a state from before steps were counted
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _log_std_of(self, var: Tensor) -> Tensor:
        return 0.5 * var.clamp_min(self.eps).log()  # a constant channel has std sqrt(eps), not zero
