"""Which context an image belongs to, told from the image alone."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

SIDE = 8  # pixels that images are pooled to before they are clustered
ORIENTATIONS = 8


class ContextClassifier(nn.Module):
    """A small network that is trained to tell the contexts apart, for contexts that are given and not computed.

    Three convolutions with GroupNorm, which needs no context and mixes no rows.

    Args:
        num_contexts: K.
        width: channels of the first convolution; the next have 2 and 4 times as many.

    Shape: x ``(B, 3, H, W)``; returns ``(B, K)``, one score a context.
    """

    def __init__(self, num_contexts: int, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for out in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False), nn.GroupNorm(4, out), nn.ReLU()]
            channels = out
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels, num_contexts)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        scores: Tensor = self.head(self.layers(x).mean(dim=(2, 3)))
        return scores


class ClusterAssigner(nn.Module):
    """Assigns images to the clusters that scikit-learn found among standardized descriptors.

    Nothing in it is trained by backpropagation; `fit_clusters` makes it. As a module it is saved, moved and copied with
    the network that needs its contexts.

    Args:
        on: ``"images"``, pooled pixels, or ``"features"``, colour moments and histograms of gradient orientations.
        projection: from descriptors to principal components.
        offset: of the components.
        mean, precision: of each cluster's Gaussian with diagonal covariance.
        bias: log-weight and normalizing constant of each cluster.

    Shape: projection ``(D, P)``, offset ``(P,)``, mean and precision ``(K, P)``, bias ``(K,)``; x ``(B, 3, H, W)``;
    returns ``(B, K)``, the log-density of the image under each cluster up to a constant.
    """

    constants = ("projection", "offset", "mean", "precision", "bias")

    projection: Tensor
    offset: Tensor
    mean: Tensor
    precision: Tensor
    bias: Tensor

    def __init__(
        self, on: str, projection: Tensor, offset: Tensor, mean: Tensor, precision: Tensor, bias: Tensor
    ) -> None:
        super().__init__()
        self.on = on
        tensors = {"projection": projection, "offset": offset, "mean": mean, "precision": precision, "bias": bias}
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        z = describe(x.float(), self.on) @ self.projection + self.offset  # (B, P)
        distance = (z[:, None] - self.mean).square() * self.precision  # (B, K, P)
        return self.bias - 0.5 * distance.sum(2)


def fit_clusters(x: Tensor, count: int, method: str, on: str, components: int, seed: int) -> ClusterAssigner:
    """Find clusters of images.

    Args:
        x: images on the network's input scale.
        count: clusters K.
        method: ``"kmeans"``, or ``"gmm"`` for a Gaussian mixture with diagonal covariances.
        on: what is clustered, see `ClusterAssigner`.
        components: principal components that are kept, at most.
        seed: of scikit-learn's random start.

    Shape: x ``(N, 3, H, W)``.

    Raises:
        ValueError: fewer different images than clusters.
    """
    described = np.concatenate([describe(part, on).double().numpy() for part in torch.split(x, 1000)])  # (N, D)
    different = len(np.unique(described, axis=0))
    if different < count:
        raise ValueError(f"{count} clusters are called for, but there are {different} different images")
    scale = described.std(axis=0) + 1e-6
    pca = PCA(min(components, *described.shape), svd_solver="full")
    z = pca.fit_transform(described / scale)  # (N, P)
    if method == "kmeans":
        mean = KMeans(count, n_init=4, random_state=seed).fit(z).cluster_centers_
        precision, log_weight = np.ones_like(mean), np.zeros(count)
    else:
        mixture: Any = GaussianMixture(
            count, covariance_type="diag", init_params="k-means++", n_init=4, max_iter=300, reg_covar=1e-4,
            random_state=seed,
        ).fit(z)  # fmt: skip
        mean, precision, log_weight = mixture.means_, mixture.precisions_, np.log(mixture.weights_)
    bias = log_weight + 0.5 * np.log(precision).sum(axis=1)
    projection = pca.components_.T / scale[:, None]  # (D, P)
    arrays = (projection, -(pca.mean_ @ pca.components_.T), mean, precision, bias)
    return ClusterAssigner(on, *(torch.from_numpy(array).float() for array in arrays))


def describe(x: Tensor, on: str) -> Tensor:
    """Return what of each image is clustered.

    Args:
        x: images.
        on: ``"images"``: pixels pooled to 8x8. ``"features"``: mean and deviation of each channel, and histograms of
            gradient orientations in 4x4 cells, each image's normalized: what is shown rather than where its light is.

    Shape: x ``(B, 3, H, W)``; returns ``(B, D)``.

    Reference: Dalal and Triggs 2005, Histograms of oriented gradients for human detection (without its block overlap).
    """
    if on == "images":
        return F.adaptive_avg_pool2d(x, SIDE).flatten(1)
    flat = x.flatten(2)
    colour = torch.cat([flat.mean(2), flat.std(2)], dim=1)  # (B, 6)
    grey = F.pad(x.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")[:, 0]  # (B, H + 2, W + 2)
    dy = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]  # (B, H, W), twice the slope
    dx = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    length, angle = torch.hypot(dx, dy), torch.atan2(dy, dx) % torch.pi  # orientation has no sign
    bins = (angle * (ORIENTATIONS / torch.pi)).long().clamp_max(ORIENTATIONS - 1)  # (B, H, W)
    votes = F.one_hot(bins, ORIENTATIONS).permute(0, 3, 1, 2) * length[:, None]  # (B, O, H, W)
    cells = F.adaptive_avg_pool2d(votes, 4).flatten(1)  # (B, 16 O)
    return torch.cat([colour, F.normalize(cells, dim=1)], dim=1)
