"""ACN against plain loops: both fits, the data-driven start, renormalization."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, open_renorm

K, C, EPS = 3, 2, 1e-5
CONTEXT = torch.tensor([1, 0, 1, 1, 0])  # interleaved; context 2 is absent
LAYOUTS = [((5, C), False), ((5, C, 4), False), ((5, C, 3, 2), False), ((5, 4, C), True)]
layouts = pytest.mark.parametrize(("shape", "channels_last"), LAYOUTS)


def values(x: Tensor, channels_last: bool, row: int, channel: int) -> np.ndarray:
    """All numbers of one channel of one row."""
    picked = x[row, ..., channel] if channels_last else x[row, channel]
    return picked.detach().double().numpy().ravel()


def moments(x: Tensor, channels_last: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased std (K, C) of each context's rows; NaN where there are none."""
    mean, std = np.full((K, C), np.nan), np.full((K, C), np.nan)
    for k in set(CONTEXT.tolist()):
        for c in range(C):
            v = np.concatenate([values(x, channels_last, i, c) for i in range(5) if CONTEXT[i] == k])
            mean[k, c], std[k, c] = v.sum() / len(v), math.sqrt(((v - v.mean()) ** 2).sum() / len(v))
    return mean, std


def assert_rows(
    y: Tensor, x: Tensor, channels_last: bool, mean: np.ndarray, std: np.ndarray, layer: AdaptiveContextNorm
) -> None:
    """Every number of y is that of x under its row's Gaussian, then gamma and beta."""
    for i, k in enumerate(CONTEXT.tolist()):
        for c in range(C):
            x_hat = (values(x, channels_last, i, c) - mean[k, c]) / np.sqrt(std[k, c] ** 2 + EPS)
            expected = layer.weight[c].item() * x_hat + layer.bias[c].item()
            np.testing.assert_allclose(values(y, channels_last, i, c), expected, atol=1e-9)


def random_layer(fit: str, channels_last: bool = False) -> AdaptiveContextNorm:
    """A layer whose table, gamma and beta are random and need no start."""
    torch.manual_seed(3)
    layer = AdaptiveContextNorm(C, K, fit=fit, channels_last=channels_last).double()
    with torch.no_grad():
        for table in (layer.mean, layer.log_std, layer.weight, layer.bias):
            table.normal_()
        layer.initialized.fill_(True)
    return layer


@layouts
@pytest.mark.parametrize("training", [True, False])
def test_task_output_is_that_of_the_learned_gaussian(
    shape: tuple[int, ...], channels_last: bool, training: bool
) -> None:
    layer = random_layer("task", channels_last).train(training)
    before = copy.deepcopy(layer.state_dict())
    x = 3 * torch.randn(shape, dtype=torch.float64) + 1

    y = layer(x, CONTEXT)

    assert_rows(y, x, channels_last, layer.mean.detach().numpy(), layer.log_std.detach().exp().numpy(), layer)
    for name in ("mean", "log_std"):  # only the task's gradient moves them
        assert torch.equal(layer.state_dict()[name], before[name])


@layouts
@pytest.mark.parametrize("fit", ["task", "likelihood"])
def test_first_batch_sets_mean_and_std(shape: tuple[int, ...], channels_last: bool, fit: str) -> None:
    torch.manual_seed(0)
    layer = AdaptiveContextNorm(C, K, fit=fit, channels_last=channels_last).double()
    x = 3 * torch.randn(shape, dtype=torch.float64) + 1

    y = layer(x, CONTEXT)

    mean, std = moments(x, channels_last)
    np.testing.assert_allclose(layer.mean[:2].detach().numpy(), mean[:2], atol=1e-9)
    np.testing.assert_allclose(layer.log_std[:2].detach().exp().numpy(), std[:2], rtol=1e-9)
    assert not layer.mean[2].any()
    assert not layer.log_std[2].any()
    assert layer.initialized.tolist() == [True, True, False]
    assert_rows(y, x, channels_last, mean, std, layer)


@pytest.mark.parametrize("fit", ["task", "likelihood"])
def test_context_that_occurs_later_starts_then(fit: str) -> None:
    torch.manual_seed(0)
    layer = AdaptiveContextNorm(C, K, fit=fit, eta=0.25).double()
    first, second = torch.randn(5, C, 6, dtype=torch.float64), 5 + torch.randn(5, C, 6, dtype=torch.float64)
    layer(first, CONTEXT)
    started = layer.mean.detach().clone()

    layer(second, CONTEXT + 1)

    torch.testing.assert_close(layer.mean[2].detach(), second[CONTEXT == 1].mean(dim=(0, 2)))
    assert torch.equal(layer.mean[0], started[0])  # absent
    moved = 0.0 if fit == "task" else 0.25
    expected = started[1] + moved * (second[CONTEXT == 0].mean(dim=(0, 2)) - started[1])
    torch.testing.assert_close(layer.mean[1].detach(), expected)  # started before, so not again


@pytest.mark.parametrize("fit", ["task", "likelihood"])
def test_standard_start_is_mean_zero_and_std_one(fit: str) -> None:
    torch.manual_seed(0)
    layer = AdaptiveContextNorm(C, K, fit=fit, eta=0.5, init="standard").double()
    x = 4 + 2 * torch.randn(5, C, 6, dtype=torch.float64)
    y = layer(x, CONTEXT)
    if fit == "task":
        torch.testing.assert_close(y, x / math.sqrt(1 + EPS))
        assert not layer.mean.any()
    else:
        mean, std = moments(x, False)
        np.testing.assert_allclose(layer.mean[:2].numpy(), 0.5 * mean[:2], atol=1e-9)
        np.testing.assert_allclose(layer.log_std[:2].numpy(), 0.5 * np.log(std[:2]), atol=1e-9)


def test_constant_channel_starts_at_the_smallest_std() -> None:
    layer = AdaptiveContextNorm(C, K).double()
    y = layer(torch.full((5, C, 3), 7.0, dtype=torch.float64), CONTEXT)
    torch.testing.assert_close(layer.log_std[:2].detach(), torch.full((2, C), 0.5 * math.log(EPS), dtype=torch.float64))
    torch.testing.assert_close(y, torch.zeros_like(y))


@layouts
@pytest.mark.parametrize("progress", [0.0, 0.15, 0.25, 1.0])
def test_likelihood_fit_over_three_batches(shape: tuple[int, ...], channels_last: bool, progress: float) -> None:
    eta = 0.1
    layer = random_layer("likelihood", channels_last)
    open_renorm(layer, progress)
    opened = min(max((progress - 0.1) / 0.3, 0), 1)
    rho, delta = 1 + 2 * opened, 5 * opened
    table_mean, table_log_std = layer.mean.numpy().copy(), layer.log_std.numpy().copy()
    for step in range(3):
        x = (1 + step) * torch.randn(shape, dtype=torch.float64) - step
        y = layer(x, CONTEXT)

        mean, std = moments(x, channels_last)
        for i, k in enumerate(CONTEXT.tolist()):
            for c in range(C):
                learned = math.sqrt(math.exp(table_log_std[k, c]) ** 2 + EPS)
                batch = math.sqrt(std[k, c] ** 2 + EPS)
                r = min(max(batch / learned, 1 / rho), rho)
                d = min(max((mean[k, c] - table_mean[k, c]) / learned, -delta), delta)
                x_hat = (values(x, channels_last, i, c) - mean[k, c]) / batch * r + d
                expected = layer.weight[c].item() * x_hat + layer.bias[c].item()
                np.testing.assert_allclose(values(y, channels_last, i, c), expected, atol=1e-9)
        for k in (0, 1):  # context 2 never occurs and stays
            for c in range(C):
                table_mean[k, c] += eta * (mean[k, c] - table_mean[k, c])
                table_log_std[k, c] += eta * (math.log(std[k, c]) - table_log_std[k, c])
        np.testing.assert_allclose(layer.mean.numpy(), table_mean, atol=1e-9)
        np.testing.assert_allclose(layer.log_std.numpy(), table_log_std, atol=1e-9)


def test_likelihood_step_is_the_natural_gradient_of_the_likelihood() -> None:
    torch.manual_seed(0)
    layer = AdaptiveContextNorm(1, 1, fit="likelihood", eta=1e-4, init="standard").double()
    x = 0.3 + 1.02 * torch.randn(
        200, 1, dtype=torch.float64
    )  # near the table, where log S - log std ~ (S^2/std^2 - 1)/2
    mean = torch.zeros((), dtype=torch.float64, requires_grad=True)
    log_std = torch.zeros((), dtype=torch.float64, requires_grad=True)
    torch.distributions.Normal(mean, log_std.exp()).log_prob(x - x.mean() + 0.01).mean().backward()
    layer(x - x.mean() + 0.01, torch.zeros(200, dtype=torch.int64))
    # Fisher information of (mean, log std) at std 1: 1 and 2.
    assert layer.mean.item() == pytest.approx(1e-4 * mean.grad.item(), rel=1e-6)
    assert layer.log_std.item() == pytest.approx(1e-4 * log_std.grad.item() / 2, rel=0.1)


def test_closed_renorm_is_context_batch_norm() -> None:
    torch.manual_seed(0)
    layer, cn = AdaptiveContextNorm(C, K, fit="likelihood"), ContextBatchNorm(C, K)
    for step in range(3):
        x = torch.randn(5, C, 4, 4) * (step + 1)
        torch.testing.assert_close(layer(x, CONTEXT), cn(x, CONTEXT))


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_table_at_the_batchs_moments_makes_training_and_evaluation_one(progress: float) -> None:
    torch.manual_seed(0)
    layer = AdaptiveContextNorm(C, K, fit="likelihood").double()
    open_renorm(layer, progress)
    x = 5 + 2 * torch.randn(5, C, 4, dtype=torch.float64)
    y = layer(x, CONTEXT)  # the first batch: the table starts at its moments
    mean, std = moments(x, False)
    assert_rows(y, x, False, mean, std, layer)
    torch.testing.assert_close(layer.eval()(x, CONTEXT), y)


def test_wide_open_renorm_trains_on_what_evaluation_sees() -> None:
    layer = random_layer("likelihood")
    layer.rho.fill_(1e6)
    layer.delta.fill_(1e6)
    x = torch.randn(5, C, 4, dtype=torch.float64)
    evaluated = layer.eval()(x, CONTEXT)
    torch.testing.assert_close(layer.train()(x, CONTEXT), evaluated)


@layouts
def test_likelihood_evaluation_is_that_of_the_learned_gaussian(shape: tuple[int, ...], channels_last: bool) -> None:
    layer = random_layer("likelihood", channels_last).eval()
    x = torch.randn(shape, dtype=torch.float64)
    assert_rows(layer(x, CONTEXT), x, channels_last, layer.mean.numpy(), layer.log_std.exp().numpy(), layer)


def test_likelihood_gradient_holds_r_and_d_constant() -> None:
    layer = random_layer("likelihood")
    open_renorm(layer, 0.2)
    rho, delta = layer.rho.item(), layer.delta.item()
    table_mean, table_std = layer.mean.clone(), layer.log_std.exp()
    x = (2 * torch.randn(5, C, 4, dtype=torch.float64)).requires_grad_()
    upstream = torch.randn(5, C, 4, dtype=torch.float64)
    found = torch.autograd.grad(layer(x, CONTEXT), (x, layer.weight, layer.bias), upstream)

    loss = torch.zeros((), dtype=torch.float64)
    for k in (0, 1):
        for c in range(C):
            rows = x[k == CONTEXT][:, c]
            mean, batch = rows.mean(), (rows.var(unbiased=False) + EPS).sqrt()
            learned = (table_std[k, c] ** 2 + EPS).sqrt()
            r = (batch / learned).clamp(1 / rho, rho).detach()
            d = ((mean - table_mean[k, c]) / learned).clamp(-delta, delta).detach()
            y = layer.weight[c] * ((rows - mean) / batch * r + d) + layer.bias[c]
            loss = loss + (upstream[k == CONTEXT][:, c] * y).sum()
    expected = torch.autograd.grad(loss, (x, layer.weight, layer.bias))

    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("progress", "rho", "delta"), [(0, 1, 0), (0.1, 1, 0), (0.25, 2, 2.5), (0.4, 3, 5), (1, 3, 5)])
def test_renorm_opens_between_10_and_40_percent(progress: float, rho: float, delta: float) -> None:
    model = torch.nn.Sequential(
        AdaptiveContextNorm(C, K, fit="likelihood"), torch.nn.ReLU(), AdaptiveContextNorm(C, K, fit="task")
    )
    open_renorm(model, progress)
    assert model[0].rho.item() == pytest.approx(rho)
    assert model[0].delta.item() == pytest.approx(delta)
    assert not hasattr(model[2], "rho")


def test_only_the_task_fit_has_the_tables_as_parameters() -> None:
    task, likelihood = AdaptiveContextNorm(C, K), AdaptiveContextNorm(C, K, fit="likelihood")
    assert {name for name, _ in task.named_parameters()} == {"weight", "bias", "mean", "log_std"}
    assert {name for name, _ in likelihood.named_parameters()} == {"weight", "bias"}
    assert set(task.state_dict()) == set(likelihood.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit": "taks"}, "fit must be 'task' or 'likelihood', got 'taks'"),
        ({"init": "zero"}, "init must be 'data' or 'standard', got 'zero'"),
        ({"eta": -0.1}, "eta must be from 0 to 1, got -0.1"),
        ({"eta": 1.5}, "eta must be from 0 to 1, got 1.5"),
        ({"opening_steps": (5, 5)}, r"opening_steps must be two rising numbers of training forwards, got \(5, 5\)"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveContextNorm(C, K, **options)
