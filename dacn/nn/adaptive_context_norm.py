"""Adaptive Context Normalization: a learned Gaussian for each context."""

from typing import Any

import torch
from torch import Tensor, nn

from dacn.nn import functional as F
from dacn.nn.context_norm import ContextNorm


class AdaptiveContextNorm(ContextNorm):
    """ACN: ``x_hat = (x - mean[c]) / sqrt(std[c]^2 + eps)``, then gamma and beta.

    ``fit="task"`` is the paper: mean and log-std are parameters, learned by the task's loss. Deeper than the input that
    collapses, because the target's rows see nothing but the pseudo-label loss. ``fit="likelihood"`` trains at every
    layer: each context's mean and log-std are moving averages of those of its detached activations,
    ``mean += eta (M - mean)`` and ``log_std += eta (log S - log_std)`` with M and S the batch's, and the backward pass
    is BatchNorm's, with the correction of Batch Renormalization in between. Where batches do not differ this ends at
    the Gaussian of greatest likelihood, hence the name; it does not follow that likelihood's gradient. Evaluation is
    the same for both and depends on nothing in the batch.

    Args:
        num_features: channels C.
        num_contexts: contexts K.
        fit: ``"task"`` or ``"likelihood"``.
        eta: weight of the newest batch in the moving averages, 0 to 1; 0 leaves the Gaussians where they start. Unused
            by ``fit="task"``.
        opening: shares of training, 0 to 1, between which the likelihood fit's training output goes over from batch
            statistics to the learned Gaussian; see `open_renorm`.
        opening_steps: the same in training forwards, which the layer counts where nobody calls `open_renorm`.
        init: ``"data"`` starts each context at the moments of its first batch, ``"standard"`` at mean 0 and std 1.
        eps, affine, channels_last: see `ContextNorm`.

    Shape: x ``(B, C, ...)``, context ``(B,)``; returns the shape of x.

    Raises:
        ValueError: an argument out of its range; in training, no context.

    Reference: Faye et al. 2024, arXiv 2409.04759 (their code divides by ``exp(s) + 1e-3``; this follows the paper).
    Batch Renormalization: arXiv 1702.03275.

    >>> layer = AdaptiveContextNorm(3, num_contexts=2)
    >>> layer(torch.rand(4, 3, 8, 8), torch.tensor([0, 0, 1, 1])).shape
    torch.Size([4, 3, 8, 8])
    """

    mean: Tensor
    log_std: Tensor
    rho: Tensor
    delta: Tensor
    steps: Tensor

    def __init__(
        self,
        num_features: int,
        num_contexts: int,
        *,
        fit: str = "task",
        eta: float = 0.1,
        opening: tuple[float, float] = (0.1, 0.4),
        opening_steps: tuple[int, int] = (100, 400),
        init: str = "data",
        eps: float = 1e-5,
        affine: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(num_features, num_contexts, eps=eps, affine=affine, channels_last=channels_last)
        if fit not in ("task", "likelihood"):
            raise ValueError(f"fit must be 'task' or 'likelihood', got {fit!r}")
        if init not in ("data", "standard"):
            raise ValueError(f"init must be 'data' or 'standard', got {init!r}")
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must be from 0 to 1, got {eta}")
        if not 0 <= opening[0] < opening[1] <= 1:
            raise ValueError(f"opening must be two rising shares of training from 0 to 1, got {opening}")
        if not 0 <= opening_steps[0] < opening_steps[1]:
            raise ValueError(f"opening_steps must be two rising numbers of training forwards, got {opening_steps}")
        self.fit, self.eta, self.init = fit, eta, init
        self.opening, self.opening_steps = opening, opening_steps
        table = torch.zeros(num_contexts, num_features)
        self.register_buffer("steps", torch.tensor(0))  # training forwards of the likelihood fit that nobody told of
        if fit == "task":
            self.mean = nn.Parameter(table)  # (K, C)
            self.log_std = nn.Parameter(table.clone())
        else:
            self.register_buffer("mean", table)
            self.register_buffer("log_std", table.clone())
            self.register_buffer("rho", torch.tensor(1.0), persistent=False)  # renorm's limits, opened by `open_renorm`
            self.register_buffer("delta", torch.tensor(0.0), persistent=False)
            self.opened = 0.0  # how far `open_renorm` has opened them, 0 to 1
            self.told = False  # whether it was ever called; read in forward, where a compiler would guard a number

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance, ``(K, C)`` each."""
        return self.mean, (2 * self.log_std).exp()

    def normalize_batch(self, x: Tensor, context: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the training output and, by likelihood, move each context's Gaussian towards its rows."""
        all_started = self.all_started(x)
        if self.fit == "task":
            if not all_started:  # once every context has started, the moments are not needed
                self._start(F.context_moments(x.detach(), context, self.num_contexts))
            mean, var = self.tables()
            # A copy, since a context that starts in a second forward must not disturb this one's backward pass.
            y = F.context_affine(x, context, mean.clone(), var, weight, bias, self.eps)
            self.update_frequency(F.context_count(context, self.num_contexts), all_started=all_started)
            return y
        moments = F.context_moments(x, context, self.num_contexts)
        if not all_started:
            self._start(moments)
        if not self.told:
            F.open_by_steps(self.steps, self.opening_steps, self.rho, self.delta)
        correction = self._correct_and_follow(moments)
        self.update_frequency(moments.count, all_started=all_started)
        # r and d carry no gradient, so the backward pass is BatchNorm's.
        return F.context_affine(
            x,
            context,
            moments.mean,
            moments.var,
            weight,
            bias,
            self.eps,
            batch_statistics=True,
            correction=correction,
        )

    @torch.no_grad()
    def _start(self, moments: F.Moments) -> None:
        """Set the contexts that occur for the first time."""
        if self.init == "data":
            new = ((moments.count > 0) & ~self.initialized)[:, None]  # (K, 1)
            self.mean.copy_(torch.where(new, moments.mean, self.mean))
            self.log_std.copy_(torch.where(new, self._log_std_of(moments), self.log_std))

    @torch.no_grad()
    def _correct_and_follow(self, moments: F.Moments) -> tuple[Tensor, Tensor]:
        """Return r and d of the Gaussians as they stand, then move these towards the batch."""
        mean, var = (F.snapshot(table) for table in self.tables())
        correction = F.renorm_correction(moments, mean, var, self.eps, self.rho, self.delta)
        F.follow_where_occurring(self.mean, moments.mean, moments.count, self.eta)
        F.follow_where_occurring(self.log_std, self._log_std_of(moments), moments.count, self.eta)
        return correction

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.setdefault(prefix + "steps", self.steps)  # a state from before steps were counted
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _log_std_of(self, moments: F.Moments) -> Tensor:
        return 0.5 * moments.var.clamp_min(self.eps).log()  # a constant channel has std sqrt(eps), not zero
