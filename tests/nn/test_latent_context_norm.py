"""Latent ACN against plain loops, and what it finds in data with clusters."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dacn.algorithms.statistics import call_keeping_statistics
from dacn.nn import AdaptiveContextNorm, LatentContextNorm, open_renorm
from dacn.nn import functional as F
from dacn.nn.mixture import latent as latent_rows
from dacn.nn.mixture.latent import row_moments
from dacn.nn.mixture.latent_start import clusters

C, K, EPS, SHARPNESS, ETA = 2, 3, 1e-5, 7.0, 0.2
LAYOUTS = [((6, C), False), ((6, C, 4), False), ((6, C, 3, 2), False), ((6, 4, C), True)]
layouts = pytest.mark.parametrize(("shape", "channels_last"), LAYOUTS)


def random_layer(channels_last: bool = False) -> LatentContextNorm:
    """A layer whose Gaussians, gamma and beta show, with no start due."""
    torch.manual_seed(3)
    layer = LatentContextNorm(C, K, eta=ETA, sharpness=SHARPNESS, channels_last=channels_last).double()
    with torch.no_grad():
        for table in (layer.mean, layer.log_std, layer.weight, layer.bias):
            table.normal_(std=0.5)
        layer.frequency.copy_(torch.tensor([0.5, 0.3, 0.2]))
        layer.started.fill_(True)
    return layer


def values(x: Tensor, channels_last: bool, row: int, channel: int) -> np.ndarray:
    """All numbers of one channel of one row."""
    picked = x[row, ..., channel] if channels_last else x[row, channel]
    return picked.detach().double().numpy().ravel()


def posteriors(x: Tensor, channels_last: bool, mean: np.ndarray, std: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    tau = np.empty((len(x), K))
    for i in range(len(x)):
        for k in range(K):
            terms = []
            for c in range(C):
                v = std[k, c] ** 2 + EPS
                for value in values(x, channels_last, i, c):
                    terms.append(-0.5 * ((value - mean[k, c]) ** 2 / v + math.log(2 * math.pi * v)))
            tau[i, k] = math.exp(SHARPNESS * np.mean(terms)) * frequency[k]
    return tau / tau.sum(1, keepdims=True)


@layouts
@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0, None])
def test_output_and_gaussians_are_those_of_plain_loops(
    shape: tuple[int, ...], channels_last: bool, progress: float | None
) -> None:
    layer = random_layer(channels_last)
    if progress is None:
        layer.eval()
    open_renorm(layer, progress or 0.0)
    rho, delta = layer.rho.item(), layer.delta.item()
    mean, std, frequency = layer.mean.numpy().copy(), layer.log_std.exp().numpy(), layer.frequency.numpy().copy()
    gamma, beta = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    for step in range(3):
        x = torch.randn(shape, dtype=torch.float64) + 0.3 * step
        y = layer(x)

        tau = posteriors(x, channels_last, mean, std, frequency)
        m, s = np.zeros((K, C)), np.zeros((K, C))
        for k in range(K):
            for c in range(C):
                v = np.array([values(x, channels_last, i, c) for i in range(6)])  # (B, positions)
                w = np.broadcast_to(tau[:, k : k + 1], v.shape)
                m[k, c] = (w * v).sum() / w.sum()
                s[k, c] = math.sqrt((w * (v - m[k, c]) ** 2).sum() / w.sum())
        for i in range(6):
            for c in range(C):
                v = values(x, channels_last, i, c)
                expected = np.zeros_like(v)
                for k in range(K):
                    learned, batch = math.sqrt(std[k, c] ** 2 + EPS), math.sqrt(s[k, c] ** 2 + EPS)
                    if progress is None:
                        x_hat = (v - mean[k, c]) / learned
                    else:
                        r = min(max(batch / learned, 1 / rho), rho)
                        d = min(max((m[k, c] - mean[k, c]) / learned, -delta), delta)
                        x_hat = (v - m[k, c]) / batch * r + d
                    expected += tau[i, k] * (gamma[c] * x_hat + beta[c])
                np.testing.assert_allclose(values(y, channels_last, i, c), expected, atol=1e-9)
        if progress is not None:
            for k in range(K):
                share = tau[:, k].sum() / 6
                move = ETA * min(1, share / max(frequency[k], 0.05 / K))
                frequency[k] += 0.01 * (share - frequency[k])
                for c in range(C):
                    mean[k, c] += move * (m[k, c] - mean[k, c])
                    std[k, c] = math.exp(math.log(std[k, c]) + move * (math.log(s[k, c]) - math.log(std[k, c])))
        for table, expected in ((layer.mean, mean), (layer.log_std, np.log(std)), (layer.frequency, frequency)):
            np.testing.assert_allclose(table.numpy(), expected, atol=1e-9)


@layouts
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_right(shape: tuple[int, ...], channels_last: bool, training: bool) -> None:
    layer = random_layer(channels_last).train(training)  # r and d are constants; closed, they are constant in truth
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def output(*_: Tensor) -> Tensor:
        result: Tensor = call_keeping_statistics(layer, x)  # at the same Gaussians each time
        return result

    assert torch.autograd.gradcheck(output, (x, layer.weight, layer.bias))


def test_posterior_at_sharpness_one_is_that_of_a_known_contexts_layers() -> None:
    torch.manual_seed(0)
    mean, var, frequency = torch.randn(K, C), torch.rand(K, C) + 0.5, torch.tensor([0.5, 0.3, 0.2])
    layer, x = LatentContextNorm(C, K, sharpness=1), 3 + torch.randn(6, C, 4, 3)
    layer.mean.copy_(mean), layer.log_std.copy_(0.5 * var.log()), layer.frequency.copy_(frequency)
    torch.testing.assert_close(
        layer.posterior(x), F.context_posterior(x, mean, var + EPS, frequency.log()), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_one_component_is_likelihood_acn_of_one_context(progress: float) -> None:
    torch.manual_seed(0)
    ours, theirs = LatentContextNorm(C, 1).double(), AdaptiveContextNorm(C, 1, fit="likelihood").double()
    context = torch.zeros(6, dtype=torch.int64)
    for layer in (ours, theirs):
        open_renorm(layer, progress)
    for step in range(4):
        x = (step + 1) * torch.randn(6, C, 4, 3, dtype=torch.float64) + step
        x.requires_grad_()
        upstream = torch.randn_like(x)
        a, b = ours(x), theirs(x, context)
        torch.testing.assert_close(a, b)
        for p, q in zip(torch.autograd.grad(a, x, upstream), torch.autograd.grad(b, x, upstream), strict=True):
            torch.testing.assert_close(p, q)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x, context))


def two_groups(seed: int, kind: str, share: float = 0.3, rows: int = 48) -> tuple[Tensor, Tensor]:
    """Rows (B, 8, 16) that vary by themselves, and which of two groups each belongs to."""
    generator = torch.Generator().manual_seed(seed)
    group = (torch.rand(rows, generator=generator) < share).long()
    x = torch.randn(rows, 8, 16, generator=generator) + 0.5 * torch.randn(rows, 8, 1, generator=generator)
    sign = torch.where(torch.arange(8) % 2 == 0, 1.0, -1.0)[:, None]
    at = group[:, None, None]
    return {"brightness": x + 1.5 * at * sign, "contrast": x * (1 + 1.5 * at), "both": (x + 20 * at) * (1 + 9 * at)}[
        kind
    ], group


@pytest.mark.parametrize("kind", ["brightness", "contrast", "both"])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_two_groups_are_found_and_stay_apart(kind: str, share: float) -> None:
    layer = LatentContextNorm(8, 2)
    for seed in range(100):
        layer(two_groups(seed, kind, share)[0])
    x, group = two_groups(999, kind, share)
    posterior = layer.posterior(x)
    right = (posterior.argmax(1) == group).float().mean().item()
    assert max(right, 1 - right) > 0.97
    assert posterior.max(1).values.mean() > 0.95
    assert layer.frequency.min().item() == pytest.approx(share, abs=0.05)
    many, group = two_groups(1000, kind, share, rows=1000)
    first = int(layer.posterior(many)[group == 0].mean(0).argmax())
    for k, rows in ((first, many[group == 0]), (1 - first, many[group == 1])):  # each Gaussian is that of its group
        torch.testing.assert_close(layer.mean[k], rows.mean(dim=(0, 2)), atol=0.2 * rows.std().item(), rtol=0.1)
        torch.testing.assert_close(layer.log_std[k].exp(), rows.std(dim=(0, 2)), atol=0, rtol=0.15)


def test_group_that_comes_later_is_found() -> None:
    layer = LatentContextNorm(8, 2)
    for seed in range(20):
        layer(two_groups(seed, "brightness", share=0.0)[0])
    for seed in range(200):
        layer(two_groups(seed, "brightness", share=0.4)[0])
    x, group = two_groups(999, "brightness", share=0.4)
    right = (layer.posterior(x).argmax(1) == group).float().mean().item()
    assert max(right, 1 - right) > 0.97


def test_component_started_at_an_outlier_comes_back() -> None:
    layer = LatentContextNorm(8, 2)
    x, _ = two_groups(0, "brightness", share=0.5)
    x[0] = 1e4
    layer(x)
    assert layer.frequency.min() < 0.05
    for seed in range(1, 150):
        layer(two_groups(seed, "brightness", share=0.5)[0])
    assert layer.frequency.min() > 0.2
    assert layer.mean.abs().max() < 5
    x, group = two_groups(999, "brightness", share=0.5)
    right = (layer.posterior(x).argmax(1) == group).float().mean().item()
    assert max(right, 1 - right) > 0.97


def test_clusters_are_those_of_the_rows() -> None:
    x, group = two_groups(0, "brightness", share=0.4)
    found = clusters(row_moments(x), 2)
    assert torch.equal(found, group) or torch.equal(found, 1 - group)
    assert clusters(row_moments(x[:1]), 3).tolist() == [0]


def test_first_batch_sets_each_component_to_its_cluster() -> None:
    layer = LatentContextNorm(8, 2)
    x, group = two_groups(0, "both", share=0.4)
    layer(x)
    first = int(layer.posterior(x)[group == 0].mean(0).argmax())
    for k, rows in ((first, x[group == 0]), (1 - first, x[group == 1])):
        torch.testing.assert_close(layer.mean[k], rows.mean(dim=(0, 2)), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(layer.log_std[k].exp(), rows.std(dim=(0, 2), correction=0), atol=1e-3, rtol=1e-3)


DEGENERATE = {
    "constant": torch.full((6, C, 4), 3.0),
    "constant channel": torch.stack([torch.full((6, 16), 3.0), torch.randn(6, 16)], dim=1),
    "one row": torch.randn(1, C, 4),
    "one value": torch.randn(1, C),
    "equal rows": torch.randn(1, C, 4).repeat(6, 1, 1),
    "huge": 1e15 * torch.randn(6, C, 4),
    "tiny": 1e-25 * torch.randn(6, C, 4),
    "an outlier": torch.cat([torch.randn(7, C, 4), torch.full((1, C, 4), 1e6)]),
}


@pytest.mark.parametrize("progress", [0.0, 1.0])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_batches_leave_no_nan(case: str, first: bool, progress: float) -> None:
    layer = LatentContextNorm(C, K)
    open_renorm(layer, progress)
    good = torch.randn(12, C, 4) + torch.arange(12)[:, None, None] % 3
    if not first:
        layer(good)
    x = DEGENERATE[case].clone().requires_grad_()
    for _ in range(4):
        y = layer(x)
        (grad,) = torch.autograd.grad(y.pow(2).sum(), x)
        assert torch.isfinite(y).all()
        assert torch.isfinite(grad).all()
    for _ in range(4):
        layer(good)
    assert all(torch.isfinite(value).all() for value in layer.state_dict().values())
    assert torch.isfinite(layer.eval()(x)).all()


def test_before_training_it_is_the_identity() -> None:
    x = torch.randn(6, C, 4)
    torch.testing.assert_close(LatentContextNorm(C, K).eval()(x), x, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("started", [True, False])
def test_state_dict_round_trip_goes_on_bit_for_bit(started: bool) -> None:
    layer, fresh = LatentContextNorm(8, 2), LatentContextNorm(8, 2)
    if started:
        layer(two_groups(0, "both")[0])
    fresh.load_state_dict(layer.state_dict())
    for seed in range(1, 4):
        x = two_groups(seed, "both")[0]
        assert torch.equal(layer(x), fresh(x))
    assert all(torch.equal(value, fresh.state_dict()[key]) for key, value in layer.state_dict().items())
    assert torch.equal(layer.eval()(x), fresh.eval()(x))


def test_second_forward_is_not_kept() -> None:
    layer = LatentContextNorm(8, 2)
    call_keeping_statistics(layer, two_groups(3, "both")[0])
    assert not layer.started
    alone = LatentContextNorm(8, 2)
    for seed in range(3):
        call_keeping_statistics(layer, two_groups(100 + seed, "both")[0])
        assert torch.equal(layer(two_groups(seed, "both")[0]), alone(two_groups(seed, "both")[0]))


def test_two_forwards_before_one_backward() -> None:
    layer, x = LatentContextNorm(8, 2), two_groups(0, "both")[0].requires_grad_()
    (layer(x).square().sum() + layer(2 * x).pow(3).sum()).backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eta": 0}, "eta must be above 0 and at most 1, got 0"),
        ({"opening": (0.4, 0.1)}, "opening must be two rising shares of training from 0 to 1, got"),
        ({"sharpness": 0}, "sharpness must be above 0, got 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatentContextNorm(**({"num_features": 2} | options))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "tokens"])
def test_both_implementations_agree_forward_and_backward(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, C, 4, 3, dtype=torch.float64) + 5
    if layout == "channels_last":
        x = x.to(memory_format=torch.channels_last)
    if layout == "tokens":
        x = torch.randn(6, 5, C, dtype=torch.float64).movedim(-1, 1)
    upstream, outcomes = torch.randn_like(x), []
    for fast in (True, False):
        monkeypatch.setattr(latent_rows, "supports", lambda x, fast=fast: fast)
        layer, leaf = random_layer(), x.clone().requires_grad_()
        y = layer(leaf)
        outcomes.append([y, *torch.autograd.grad(y, (leaf, layer.weight, layer.bias), upstream)])
    for a, b in zip(*outcomes, strict=True):
        torch.testing.assert_close(a, b)
