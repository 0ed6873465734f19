"""Where the components of latent contexts start: at the clusters of the first batch's rows."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dacn.nn.mixture.latent import Rows, weighted_moments

LLOYD_STEPS = 10


@torch.library.custom_op("dacn::start_components", mutates_args=("mean", "log_std", "frequency", "started"))
def start_components(
    row_mean: Tensor,
    row_var: Tensor,
    mean: Tensor,
    log_std: Tensor,
    frequency: Tensor,
    started: Tensor,
    least_var: float,
) -> None:
    """Set a layer's Gaussians to the clusters of these rows, unless it has started.

    A component without rows gets the moments of all and no frequency. An operator of its own, so that a compiled
    network does not carry the clustering along.

    Args:
        row_mean, row_var: each row's moments ``(B, C)``.
        mean, log_std, frequency: the layer's tables ``(K, C)`` and ``(K,)``.
        started: whether it has started, ``()``.
        least_var: the smallest variance.
    """
    if bool(started):
        return
    rows, components = Rows(row_mean, row_var), len(frequency)
    member = one_hot(clusters(rows, components), components).to(row_mean.dtype)  # (B, K)
    own, everyone = weighted_moments(rows, member), weighted_moments(rows, torch.ones_like(member))
    occupied = (own.count > 0)[:, None]
    mean.copy_(torch.where(occupied, own.mean, everyone.mean))
    log_std.copy_(0.5 * torch.where(occupied, own.var, everyone.var).clamp_min(least_var).log())
    frequency.copy_(own.count / len(row_mean))
    started.fill_(True)


@start_components.register_fake
def _(
    row_mean: Tensor,
    row_var: Tensor,
    mean: Tensor,
    log_std: Tensor,
    frequency: Tensor,
    started: Tensor,
    least_var: float,
) -> None:
    return None


def clusters(rows: Rows, num_clusters: int) -> Tensor:
    """Return a cluster for each row, ``(B,)`` int64, by k-means on the channels' means and log-stds.

    The first centre is the row farthest from the mean, each next one the row farthest from those before, so that the
    result depends on the rows alone. Distances are taken as the likelihood sees them: means in units of the batch's
    std, and twice the square of log-stds.
    """
    mean = rows.mean - rows.mean.mean(0)  # (B, C)
    total = (rows.var + mean * mean).mean(0).clamp_min(1e-12)  # (C,)
    log_std = 0.5 * (rows.var / total + 0.01).log()  # bounded for a row without any spread
    points = torch.cat([mean / total.sqrt(), 2**0.5 * (log_std - log_std.mean(0))], dim=1)  # (B, 2C)
    centres = points[points.square().sum(1).argmax()[None]]  # (1, 2C)
    for _ in range(num_clusters - 1):
        farthest = _distance(points, centres).min(1).values.argmax()
        centres = torch.cat([centres, points[farthest[None]]])
    for _ in range(LLOYD_STEPS):
        member = one_hot(_distance(points, centres).argmin(1), num_clusters).to(points.dtype)  # (B, K)
        count = member.sum(0)[:, None]
        centres = torch.where(count > 0, member.T @ points / count.clamp_min(1), centres)
    return _distance(points, centres).argmin(1)


def _distance(points: Tensor, centres: Tensor) -> Tensor:
    return (points[:, None] - centres).square().sum(2)  # (B, K)
