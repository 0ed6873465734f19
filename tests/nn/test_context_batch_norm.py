"""Context batch normalization against torch's own BatchNorm and plain loops."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from dacn.nn import ContextBatchNorm

K, C, EPS = 3, 2, 1e-5
CONTEXT = torch.tensor([1, 0, 1, 1, 0])  # interleaved; context 2 is absent


@pytest.mark.parametrize("affine", ["shared", "own", "none"])
@pytest.mark.parametrize(
    ("shape", "channels_last"), [((5, C), False), ((5, C, 4), False), ((5, C, 3, 2), False), ((5, 4, C), True)]
)
def test_batch_and_running_statistics_of_each_context(shape: tuple[int, ...], channels_last: bool, affine: str) -> None:
    torch.manual_seed(0)
    layer = ContextBatchNorm(C, K, momentum=0.2, affine=affine, channels_last=channels_last).double()
    gamma, beta = np.ones((K, C)), np.zeros((K, C))
    if affine != "none":
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
        gamma = np.broadcast_to(layer.weight.detach().numpy(), (K, C))
        beta = np.broadcast_to(layer.bias.detach().numpy(), (K, C))
    running_mean, running_var = np.zeros((K, C)), np.ones((K, C))

    def channel(t: torch.Tensor, i: int, c: int) -> np.ndarray:
        return (t[i, ..., c] if channels_last else t[i, c]).detach().numpy().ravel()

    for step in range(3):
        x = (1 + step) * torch.randn(shape, dtype=torch.float64) - step
        y = layer(x, CONTEXT)
        for k in (0, 1):
            rows = [i for i in range(5) if CONTEXT[i] == k]
            for c in range(C):
                v = np.concatenate([channel(x, i, c) for i in rows])
                mean, var = v.sum() / len(v), ((v - v.mean()) ** 2).sum() / len(v)
                expected = (v - mean) / np.sqrt(var + EPS) * gamma[k, c] + beta[k, c]
                np.testing.assert_allclose(np.concatenate([channel(y, i, c) for i in rows]), expected, atol=1e-9)
                running_mean[k, c] = 0.8 * running_mean[k, c] + 0.2 * mean
                running_var[k, c] = 0.8 * running_var[k, c] + 0.2 * var * len(v) / (len(v) - 1)
    np.testing.assert_allclose(layer.running_mean.numpy(), running_mean, atol=1e-9)  # context 2 is still at 0 and 1
    np.testing.assert_allclose(layer.running_var.numpy(), running_var, atol=1e-9)

    x = torch.randn(shape, dtype=torch.float64)
    y = layer.eval()(x, CONTEXT + 1)
    for i, k in enumerate((CONTEXT + 1).tolist()):
        for c in range(C):
            x_hat = (channel(x, i, c) - running_mean[k, c]) / np.sqrt(running_var[k, c] + EPS)
            np.testing.assert_allclose(channel(y, i, c), x_hat * gamma[k, c] + beta[k, c], atol=1e-9)


def test_one_context_is_batch_norm() -> None:
    torch.manual_seed(0)
    ours, theirs = ContextBatchNorm(C, 1, momentum=0.3), nn.BatchNorm2d(C, momentum=0.3)
    for layer in (ours, theirs):
        nn.init.constant_(layer.weight, 1.5)
        nn.init.constant_(layer.bias, -0.5)
    context = torch.zeros(6, dtype=torch.int64)
    for step in range(3):
        x = (2 * torch.randn(6, C, 4, 3) + step).requires_grad_()
        upstream = torch.randn(6, C, 4, 3)
        a, b = ours(x, context), theirs(x)
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
        gradients = [
            torch.autograd.grad(y, (x, layer.weight, layer.bias), upstream) for y, layer in ((a, ours), (b, theirs))
        ]
        for grad_a, grad_b in zip(*gradients, strict=True):
            torch.testing.assert_close(grad_a, grad_b, atol=5e-6, rtol=1e-6)
        torch.testing.assert_close(ours.running_mean[0], theirs.running_mean, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(ours.running_var[0], theirs.running_var, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(ours.eval()(x, context), theirs.eval()(x), atol=1e-6, rtol=1e-6)


def test_contexts_are_batch_norms_side_by_side() -> None:
    torch.manual_seed(0)
    layer = ContextBatchNorm(C, K, affine="own")
    nn.init.normal_(layer.weight)
    apart = [nn.BatchNorm2d(C) for _ in range(K)]
    for k in range(K):
        apart[k].weight.data, apart[k].bias.data = layer.weight.data[k].clone(), layer.bias.data[k].clone()
    x = torch.randn(5, C, 4, 3)
    y = layer(x, CONTEXT)
    y.pow(3).sum().backward()
    for k in (0, 1):
        y_k = apart[k](x[k == CONTEXT])
        y_k.pow(3).sum().backward()
        torch.testing.assert_close(y[k == CONTEXT], y_k, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(layer.weight.grad[k], apart[k].weight.grad, atol=1e-4, rtol=1e-5)
    assert not layer.weight.grad[2].any()


def test_absent_context_leaves_no_trace() -> None:
    layer = ContextBatchNorm(C, K)
    before = copy.deepcopy(layer.state_dict())
    layer(torch.randn(5, C, 4), CONTEXT)
    for name in ("running_mean", "running_var"):
        assert torch.equal(layer.state_dict()[name][2], before[name][2])
        assert not torch.equal(layer.state_dict()[name][0], before[name][0])
    assert layer.initialized.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"affine": True}, "affine must be 'shared', 'own' or 'none', got True"),
        ({"momentum": -0.1}, "momentum must be from 0 to 1, or None for a plain average, got -0.1"),
        ({"momentum": 1.5}, "momentum must be from 0 to 1, or None for a plain average, got 1.5"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContextBatchNorm(C, K, **options)
