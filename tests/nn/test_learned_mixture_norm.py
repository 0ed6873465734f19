"""The context-free layer of arXiv 2403.16798 against plain loops, its gradients, its start."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from dacn.nn import LearnedMixtureNorm, MixtureNorm

C, K, EPS = 2, 3, 1e-3
LAYOUTS = [((6, C), False), ((6, C, 4), False), ((6, C, 3, 2), False), ((6, 4, C), True)]
layouts = pytest.mark.parametrize(("shape", "channels_last"), LAYOUTS)


def random_layer(channels_last: bool = False) -> LearnedMixtureNorm:
    """A layer whose mixture, gamma and beta show, with no start due."""
    torch.manual_seed(3)
    layer = LearnedMixtureNorm(C, K, eps=EPS, channels_last=channels_last).double()
    with torch.no_grad():
        for table in layer.parameters():
            table.normal_(std=0.7)
    layer.started.fill_(True)
    return layer


def by_hand(x: np.ndarray, layer: LearnedMixtureNorm) -> np.ndarray:
    """The formula for samples ``(N, C)``, one position after the other."""
    mean, std, logit = (table.detach().numpy() for table in (layer.mean, layer.log_std.exp(), layer.logit))
    weight = [math.exp(v) / sum(math.exp(w) for w in logit) for v in logit]
    gamma, beta = layer.weight.detach().numpy(), layer.bias.detach().numpy()  # type: ignore[union-attr]
    result = np.zeros_like(x)
    for n in range(len(x)):
        density = []
        for k in range(K):
            p = weight[k]
            for c in range(C):
                v = std[k, c] ** 2 + EPS
                p *= math.exp(-((x[n, c] - mean[k, c]) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
            density.append(p)
        for c in range(C):
            for k in range(K):
                tau = density[k] / sum(density)
                z = (x[n, c] - mean[k, c]) / math.sqrt(std[k, c] ** 2 + EPS)
                result[n, c] += gamma[c] * tau / math.sqrt(weight[k]) * z
            result[n, c] += beta[c]
    return result


@layouts
@pytest.mark.parametrize("training", [True, False])
def test_output_is_that_of_plain_loops(shape: tuple[int, ...], channels_last: bool, training: bool) -> None:
    layer = random_layer(channels_last).train(training)
    before = copy.deepcopy(layer.state_dict())
    x = 1.5 * torch.randn(shape, dtype=torch.float64)
    y = layer(x)
    assert y.shape == x.shape
    rows = (x if channels_last else x.movedim(1, -1)).reshape(-1, C)
    results = (y if channels_last else y.movedim(1, -1)).reshape(-1, C)
    np.testing.assert_allclose(results.detach().numpy(), by_hand(rows.numpy(), layer), atol=1e-10)
    for name, value in layer.state_dict().items():  # what is learned is learned by the loss alone
        assert torch.equal(value, before[name]), name


@layouts
def test_gradients_reach_the_mixture_and_are_right(shape: tuple[int, ...], channels_last: bool) -> None:
    layer = random_layer(channels_last)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    tables = (layer.mean, layer.log_std, layer.logit, layer.weight, layer.bias)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *tables))


def test_with_one_component_it_is_a_learned_gaussian() -> None:
    layer = LearnedMixtureNorm(C, 1, affine=False).double()
    x = 3 * torch.randn(50, C, 4, dtype=torch.float64) + 2
    expected = nn.functional.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-4)  # it starts at the first batch's moments
    torch.testing.assert_close(layer.eval()(x), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_first_batch_gives_the_start_and_no_other_does(channels_last: bool) -> None:
    layer = LearnedMixtureNorm(C, K, channels_last=channels_last)
    x = torch.randn(64, 5, C) * torch.tensor([1.0, 4.0]) + torch.tensor([10.0, -2.0])
    for batch in (x, x + 100):
        layer(batch if channels_last else batch.movedim(-1, 1))
    mean, std = x.reshape(-1, C).mean(0), x.reshape(-1, C).std(0, correction=0)
    torch.testing.assert_close(layer.mean.data, torch.stack([mean - std, mean, mean + std]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(layer.log_std.data.exp(), std.expand(K, C), atol=1e-4, rtol=1e-4)


def test_a_start_in_a_second_forward_leaves_the_first_ones_backward_pass_alone() -> None:
    layer = LearnedMixtureNorm(C, K)
    first = layer(torch.randn(8, C, 4))
    layer.started.fill_(False)
    (first + layer(5 + torch.randn(8, C, 4))).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


def test_training_tells_two_clusters_apart() -> None:
    """Its components go where the loss sends them: to the two lumps that the labels are about."""
    torch.manual_seed(0)
    side = torch.randint(2, (512, 1)).float()
    x = torch.cat([6 * side - 3 + 0.5 * torch.randn(512, 1), torch.randn(512, 1)], dim=1)
    layer, head = LearnedMixtureNorm(2, components=2), nn.Linear(2, 1)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.05)
    layer(x)
    start, losses = layer.mean.detach().clone(), []
    for _ in range(100):
        loss = nn.functional.binary_cross_entropy_with_logits(head(layer(x)), side)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert (layer.mean - start).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    x = torch.randn(16, C, 4)
    y = LearnedMixtureNorm(C, K)(x.to(dtype))
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), LearnedMixtureNorm(C, K)(x), atol=0.05, rtol=0.05)


def test_it_is_no_mixture_that_is_fitted() -> None:
    assert not isinstance(LearnedMixtureNorm(C), MixtureNorm)
