"""Contexts told from images: clusters against scikit-learn's own answers, descriptors against plain loops."""

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from dacn.models.context_net import ClusterAssigner, ContextClassifier, describe, fit_clusters


def two_kinds(count: int = 80) -> Tensor:
    """Dark images with level stripes and bright ones with upright stripes, in turns."""
    x = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.1
    stripes = torch.arange(16) // 2 % 2
    x[::2] += stripes[:, None]
    x[1::2] += 2 + stripes
    return x


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
@pytest.mark.parametrize("on", ["images", "features"])
def test_two_kinds_of_images_are_two_clusters(method: str, on: str) -> None:
    x = two_kinds()
    cluster = fit_clusters(x, 2, method, on, components=4, seed=0)(x).argmax(dim=1)
    assert len(set(cluster[::2].tolist())) == len(set(cluster[1::2].tolist())) == 1
    assert cluster[0] != cluster[1]


def test_the_scores_are_the_mixtures_log_densities() -> None:
    """Bayes' rule in float64 on the same components, and scikit-learn's posterior of its own fit."""
    x = torch.randn(300, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * torch.rand(300, 1, 1, 1)
    assigner = fit_clusters(x, 3, "gmm", "images", components=5, seed=0)
    z = (describe(x, "images") @ assigner.projection + assigner.offset).double().numpy()
    mixture = GaussianMixture(3, covariance_type="diag")
    mixture.means_, mixture.precisions_cholesky_ = (
        assigner.mean.double().numpy(),
        assigner.precision.double().sqrt().numpy(),
    )
    log_norm = 0.5 * np.log(assigner.precision.double().numpy()).sum(1)
    mixture.weights_ = np.exp(assigner.bias.double().numpy() - log_norm)
    mixture.covariances_ = 1 / assigner.precision.double().numpy()
    posterior = torch.from_numpy(mixture.predict_proba(z)).float()
    torch.testing.assert_close(assigner(x).softmax(dim=1), posterior, atol=1e-4, rtol=1e-3)


def test_a_cluster_does_not_depend_on_the_rest_of_the_batch() -> None:
    x = two_kinds()
    assigner = fit_clusters(x, 2, "gmm", "features", components=4, seed=0)
    torch.testing.assert_close(assigner(x[3:4]), assigner(x)[3:4])
    assert not list(assigner.parameters())  # nothing that an optimizer could move
    twin = ClusterAssigner("features", *(torch.zeros_like(b) for b in assigner.buffers()))
    twin.load_state_dict(assigner.state_dict())
    assert torch.equal(twin(x), assigner(x))


def test_gradient_orientations_by_plain_loops() -> None:
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    grey = x[0].mean(0).numpy()
    votes = np.zeros((8, 4, 4))
    for i in range(8):
        for j in range(8):
            up, down, left, right = max(i - 1, 0), min(i + 1, 7), max(j - 1, 0), min(j + 1, 7)
            dy, dx = grey[down, j] - grey[up, j], grey[i, right] - grey[i, left]
            angle = math.atan2(dy, dx) % math.pi
            votes[min(int(angle * 8 / math.pi), 7), i // 2, j // 2] += math.hypot(dx, dy) / 4
    expected = votes.reshape(-1) / np.linalg.norm(votes)
    described = describe(x, "features")[0].numpy()
    np.testing.assert_allclose(described[6:], expected, atol=1e-5)
    np.testing.assert_allclose(described[:3], x[0].numpy().mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(described[3:6], x[0].numpy().reshape(3, -1).std(1, ddof=1), atol=1e-6)


def test_more_clusters_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match="5 clusters are called for, but there are 1 different images"):
        fit_clusters(torch.zeros(20, 3, 8, 8), 5, "kmeans", "images", components=2, seed=0)


def test_the_classifier_learns_and_rows_do_not_mix() -> None:
    torch.manual_seed(0)
    x, context = two_kinds(), torch.arange(80) % 2
    net = ContextClassifier(2)
    torch.testing.assert_close(net(x[:1]), net(x)[:1], atol=1e-5, rtol=1e-4)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(20):
        torch.nn.functional.cross_entropy(net(x), context).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert (net(x).argmax(1) == context).all()
