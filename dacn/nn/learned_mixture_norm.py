"""The context-free "Adaptive Context Normalization" of arXiv 2403.16798: a mixture that the task's loss learns."""

import torch
from torch import Tensor, nn

from dacn.nn import functional as F
from dacn.nn.component_norm import ComponentNorm
from dacn.nn.mixture import mixture as M


class LearnedMixtureNorm(ComponentNorm):
    """``sum_k tau_k(x) / sqrt(lambda_k) * (x - mu_k) / sqrt(var_k + eps)``, then gamma and beta.

    Mixture Normalization (`MixtureNorm`) whose mixture is not fitted: mu, var and lambda are parameters, learned with
    the weights of the network by backpropagation, through the posteriors ``tau`` as well. Each position's vector of C
    channels is a sample. Training and evaluation are one formula, which depends on nothing in the batch. It takes no
    context.

    What was compared is the authors' code (b-faye/prior-knowledge-norm), whose parameters and formula of evaluation
    these are. Departures from it:

    - A posterior is of a position's whole vector, under normal densities. Theirs is of each number by itself, under
      densities without the factor 1 / sqrt(var), with var in the place of the standard deviation in one version.
    - Training uses the learned moments, as "learned as weights" in their papers says; theirs takes moments of the batch
      weighted by the posteriors, whose moving averages do not reach the parameters.
    - The variance is the square of an exponential, theirs a softplus. Both keep lambda positive by a softmax.
    - The first batch gives the start: its variance for all components, and means that lie evenly between one standard
      deviation below and one above its own. Theirs is uniform from -1 to 1 whatever the activations are.

    Args:
        num_features: channels C.
        components: Gaussians K.
        eps: added to variances.
        affine: learn gamma and beta, shared by all components; theirs has none.
        channels_last: the channels are the last dimension, as in token tensors ``(B, L, C)``.

    Shape: x ``(B, C)``, ``(B, C, L)`` or ``(B, C, H, W)``, with ``channels_last`` ``(B, ..., C)``; returns the shape
    of x.

    Raises:
        ValueError: sizes below one.

    Reference: Faye et al. 2024, arXiv 2403.16798 ("ACN" there; "UCB-Norm" in its first two versions).

    >>> layer = LearnedMixtureNorm(3, components=2)
    >>> layer(torch.rand(4, 3, 8, 8)).shape
    torch.Size([4, 3, 8, 8])
    """

    started: Tensor

    def __init__(
        self,
        num_features: int,
        components: int = 2,
        *,
        eps: float = 1e-5,
        affine: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(num_features, components, eps=eps, affine=affine, channels_last=channels_last)
        self.mean = nn.Parameter(torch.zeros(components, num_features))  # mu
        self.log_std = nn.Parameter(torch.zeros(components, num_features))
        self.logit = nn.Parameter(torch.zeros(components))  # of lambda
        self.register_buffer("started", torch.tensor(False))

    def mixture(self, dtype: torch.dtype) -> M.Mixture:
        """Return the mixture as it stands: mean and variance ``(K, C)``, weights ``(K,)``."""
        # A copy of the mean, since a start in a second forward must not disturb this one's backward pass.
        tables = self.mean.clone(), (2 * self.log_std).exp(), self.logit.softmax(0)
        return M.Mixture(*(table.to(dtype) for table in tables))

    def normalize(self, x: Tensor) -> Tensor:
        """Return the output for ``x (B, C, ...)``; the first batch in training gives the mixture its start."""
        if self.training and self._may_start(x):
            self._start(x.detach())
        positions = x.movedim(1, -1)  # (B, ..., C)
        y = M.normalize(positions.reshape(-1, self.num_features), self.mixture(x.dtype), *self._affine(x), self.eps)
        return y.reshape(positions.shape).movedim(-1, 1)

    def _may_start(self, x: Tensor) -> bool:
        """Whether the layer may not have started; True where asking would make the host wait."""
        return x.device.type != "cpu" or torch.compiler.is_compiling() or not bool(self.started)

    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        """Spread the components over the first batch's moments, unless that is done."""
        moments = F.context_moments(x, torch.zeros(len(x), dtype=torch.int64, device=x.device), 1)
        std = moments.var.clamp_min(self.eps).sqrt()  # (1, C); a constant channel has std sqrt(eps), not zero
        at = torch.linspace(-1, 1, self.components, device=x.device, dtype=std.dtype)[:, None]  # (K, 1)
        mean = moments.mean + std * (at if self.components > 1 else 0 * at)
        for table, value in ((self.mean, mean), (self.log_std, std.log().expand_as(mean))):
            table.copy_(torch.where(self.started, table, value.to(table.dtype)))
        self.started.fill_(True)
