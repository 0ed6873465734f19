"""The formulas against plain loops, and their two implementations against each other."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dacn.nn import functional as F
from dacn.nn.passes import choose

K, C, EPS = 4, 3, 1e-3
CONTEXT = torch.tensor([2, 0, 2, 1, 0, 2])  # mixed order; context 3 is absent, context 1 has one row
SHAPES = [(6, C), (6, C, 5), (6, C, 4, 2)]
DTYPES = [(torch.float64, 1e-10), (torch.float32, 2e-5)]


@pytest.fixture(params=["passes", "plain"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(choose, "supports", lambda x: False)


def tables(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, variance, gamma and beta, (K, C) each."""
    return (
        torch.randn(K, C, dtype=dtype),
        torch.rand(K, C, dtype=dtype) + 0.5,
        torch.randn(K, C, dtype=dtype),
        torch.randn(K, C, dtype=dtype),
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("implementation")
def test_moments_are_those_of_each_contexts_rows(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)

    count, mean, var = F.context_moments(x, CONTEXT, K)

    for k in range(K):
        rows = [i for i in range(6) if CONTEXT[i] == k]
        assert count[k] == len(rows)
        for c in range(C):
            values = np.concatenate([x[i, c].numpy().ravel() for i in rows]) if rows else None
            expected = (0.0, 1.0) if values is None else (values.mean(), ((values - values.mean()) ** 2).mean())
            assert mean[k, c].item() == pytest.approx(expected[0], abs=1e-12)
            assert var[k, c].item() == pytest.approx(expected[1], abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("implementation")
def test_affine_uses_each_rows_own_context(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    x = torch.randn(shape, dtype=torch.float64)
    mean, var, weight, bias = tables()

    y = F.context_affine(x, CONTEXT, mean, var, weight, bias, EPS)

    expected = np.empty(shape)
    for i, k in enumerate(CONTEXT.tolist()):
        for c in range(C):
            centred = x[i, c].numpy() - mean[k, c].item()
            expected[i, c] = centred / np.sqrt(var[k, c].item() + EPS) * weight[k, c].item() + bias[k, c].item()
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)


def test_count_is_rows_per_context() -> None:
    assert F.context_count(CONTEXT, K).tolist() == [2.0, 1.0, 3.0, 0.0]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("batch_statistics", [False, True])
@pytest.mark.parametrize("shape", [*SHAPES, "channels_last", "tokens"])
def test_both_implementations_agree_forward_and_backward(
    shape: tuple[int, ...] | str,
    batch_statistics: bool,
    dtype: torch.dtype,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(2)
    if shape == "channels_last":
        x = torch.randn(6, C, 4, 2, dtype=dtype).to(memory_format=torch.channels_last)
    elif shape == "tokens":
        x = torch.randn(6, 5, C, dtype=dtype).movedim(-1, 1)
    else:
        x = torch.randn(shape, dtype=dtype)
    mean, var, weight, bias = tables(dtype)
    upstream = torch.randn_like(x)

    def outcome() -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
        given = [t.clone().requires_grad_() for t in (mean, var)]
        if batch_statistics:
            moments = F.context_moments(leaves[0], CONTEXT, K)
            used = [moments.mean, moments.var]
        else:
            leaves, used = leaves + given, given
        y = F.context_affine(leaves[0], CONTEXT, *used, leaves[1], leaves[2], EPS, batch_statistics=batch_statistics)
        return [y, *torch.autograd.grad(y, leaves, upstream)]

    fast = outcome()
    monkeypatch.setattr(choose, "supports", lambda x: False)
    plain = outcome()

    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def test_gradient_may_arrive_as_an_expanded_scalar(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    x = torch.randn(6, C, 4, 2, dtype=torch.float64)
    gradients = []
    for fast in (True, False):
        monkeypatch.setattr(choose, "supports", lambda x, fast=fast: fast)
        leaf = x.clone().requires_grad_()
        torch.manual_seed(4)
        F.context_affine(leaf, CONTEXT, *tables(), EPS).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_moments_of_half_precision_are_summed_in_float32() -> None:
    torch.manual_seed(0)
    x = (torch.randn(6, C, 64, 64) + 4).bfloat16()
    count, mean, var = F.context_moments(x, CONTEXT, K)
    expected = F.context_moments(x.double(), CONTEXT, K)
    assert mean.dtype == var.dtype == torch.float32
    assert torch.equal(count.double(), expected.count)
    torch.testing.assert_close(mean.double(), expected.mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(var.double(), expected.var, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_posterior_is_bayes_rule_over_the_whole_sample(shape: tuple[int, ...]) -> None:
    torch.manual_seed(5)
    x = torch.randn(shape, dtype=torch.float64)
    mean, var, _, _ = tables()
    log_prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log()

    posterior = F.context_posterior(x, mean, var, log_prior)

    for i in range(6):
        score = np.empty(K)
        for k in range(K):
            terms = []
            for c in range(C):
                for value in x[i, c].numpy().ravel():
                    m, v = mean[k, c].item(), var[k, c].item()
                    terms.append(-0.5 * ((value - m) ** 2 / v + np.log(2 * np.pi * v)))
            score[k] = np.mean(terms) + log_prior[k].item()
        expected = np.exp(score) / np.exp(score).sum()
        np.testing.assert_allclose(posterior[i].numpy(), expected, atol=1e-12)
    torch.testing.assert_close(posterior.sum(1), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("shape", SHAPES)
def test_mixture_is_the_weighted_sum_of_every_contexts_output(shape: tuple[int, ...]) -> None:
    torch.manual_seed(6)
    x = torch.randn(shape, dtype=torch.float64)
    mean, var, weight, bias = tables()
    posterior = torch.rand(6, K, dtype=torch.float64).softmax(1)

    y = F.mixture_affine(x, posterior, mean, var, weight, bias, EPS)

    expected = torch.zeros_like(x)
    for i in range(6):
        for k in range(K):
            row = torch.full((1,), k)
            expected[i] += posterior[i, k] * F.context_affine(x[i : i + 1], row, mean, var, weight, bias, EPS)[0]
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize(("rho", "delta"), [(1.0, 0.0), (1.5, 0.5), (3.0, 5.0)])
def test_renorm_correction_is_clamped_on_both_sides(rho: float, delta: float) -> None:
    torch.manual_seed(7)
    moments = F.Moments(torch.ones(K), 3 * torch.randn(K, C), (2 * torch.randn(K, C)).exp())
    mean, var, _, _ = tables(torch.float32)

    r, d = F.renorm_correction(moments, mean, var, EPS, torch.tensor(rho), torch.tensor(delta))

    for k in range(K):
        for c in range(C):
            std = np.sqrt(var[k, c].item() + EPS)
            ratio = np.sqrt(moments.var[k, c].item() + EPS) / std
            distance = (moments.mean[k, c].item() - mean[k, c].item()) / std
            assert r[k, c].item() == pytest.approx(min(max(ratio, 1 / rho), rho), rel=1e-5)
            assert d[k, c].item() == pytest.approx(min(max(distance, -delta), delta), rel=1e-5, abs=1e-6)
