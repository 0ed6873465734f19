"""Mixture Normalization against BatchNorm, plain loops and itself."""

import math
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dacn.algorithms.statistics import call_keeping_statistics
from dacn.nn import MixtureNorm, em_seconds, without_refits
from dacn.trainer.ema import MovingAverage

C, K, EPS = 2, 3, 1e-5
LAYOUTS = [((24, C), False), ((6, C, 4), False), ((4, C, 3, 2), False), ((6, 4, C), True)]
layouts = pytest.mark.parametrize(("shape", "channels_last"), LAYOUTS)
CENTRES = torch.tensor([[0.0, 0.0], [6.0, -4.0], [-5.0, 5.0]], dtype=torch.float64)


def clusters(seed: int = 0, rows: int = 8, positions: int = 16, spread: float = 1.0) -> Tensor:
    """(B, C, positions) whose positions come from three clusters of unequal size."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), rows * positions, replacement=True, generator=generator)
    x = CENTRES[which] + spread * torch.randn(rows * positions, C, generator=generator, dtype=torch.float64)
    return x.reshape(rows, positions, C).movedim(-1, 1)


def random_layer(components: int = K, **options: Any) -> MixtureNorm:
    """A layer with a mixture, gamma and beta that show, and no fit due."""
    torch.manual_seed(3)
    layer = MixtureNorm(C, components=components, **options).double()
    with torch.no_grad():
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.3, 2)
        layer.mixture_weight.copy_(torch.rand(components, dtype=torch.float64).softmax(0))
        layer.weight.uniform_(0.5, 2)
        layer.bias.normal_()
        layer.age.zero_()
    return layer


@pytest.mark.parametrize("momentum", [0.1, 0.7])
@pytest.mark.parametrize("shape", [(24, C), (6, C, 4), (4, C, 3, 2)])
def test_one_component_is_batch_norm(shape: tuple[int, ...], momentum: float) -> None:
    torch.manual_seed(0)
    ours = MixtureNorm(C, components=1, momentum=momentum, refit_every=2)
    theirs = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](C, momentum=momentum)
    for layer in (ours, theirs):
        nn.init.constant_(layer.weight, 1.5)
        nn.init.constant_(layer.bias, -0.5)
    for step in range(4):
        x = (2 * torch.randn(shape) + 5 * step).requires_grad_()
        upstream = torch.randn(shape)
        a, b = ours(x), theirs(x)
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
        gradients = [
            torch.autograd.grad(y, (x, layer.weight, layer.bias), upstream) for y, layer in ((a, ours), (b, theirs))
        ]
        for grad_a, grad_b in zip(*gradients, strict=True):
            torch.testing.assert_close(grad_a, grad_b, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.running_mean[0], theirs.running_mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.running_var[0], theirs.running_var, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), atol=1e-5, rtol=1e-5)


def samples_of(x: Tensor, channels_last: bool) -> np.ndarray:
    """Each position's vector of channels, (N, C)."""
    moved = x if channels_last else x.movedim(1, -1)
    return moved.detach().double().numpy().reshape(-1, C)


def posterior(sample: np.ndarray, mean: np.ndarray, var: np.ndarray, weight: np.ndarray) -> np.ndarray:
    density = np.empty(len(mean))
    for k in range(len(mean)):
        density[k] = weight[k]
        for c in range(C):
            v = var[k, c] + EPS
            density[k] *= math.exp(-((sample[c] - mean[k, c]) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
    return density / density.sum()


@layouts
@pytest.mark.parametrize("training", [True, False])
def test_output_and_running_moments_are_those_of_plain_loops(
    shape: tuple[int, ...], channels_last: bool, training: bool
) -> None:
    layer = random_layer(channels_last=channels_last, momentum=0.2).train(training)
    mean, var, weight = (t.numpy().copy() for t in (layer.running_mean, layer.running_var, layer.mixture_weight))
    gamma, beta = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    for step in range(3):
        x = torch.randn(shape, dtype=torch.float64) * (1 + step) - step
        y = samples_of(layer(x), channels_last)

        samples = samples_of(x, channels_last)
        tau = np.array([posterior(sample, mean, var, weight) for sample in samples])
        m, v = mean.copy(), var.copy()
        if training:
            for k in range(K):
                for c in range(C):
                    share = tau[:, k] / tau[:, k].sum()
                    m[k, c] = (share * samples[:, c]).sum()
                    v[k, c] = (share * (samples[:, c] - m[k, c]) ** 2).sum()
        for i, sample in enumerate(samples):
            for c in range(C):
                x_hat = sum(
                    tau[i, k] / math.sqrt(weight[k]) * (sample[c] - m[k, c]) / math.sqrt(v[k, c] + EPS)
                    for k in range(K)
                )
                assert y[i, c] == pytest.approx(gamma[c] * x_hat + beta[c], abs=1e-9)

        if training:
            for k in range(K):
                count = tau[:, k].sum()
                share = count / len(samples)
                weight[k] += 0.2 * (share - weight[k])
                move = 0.2 * share / weight[k]
                unbiased = max(1, count / max(count - 1, 1))
                for c in range(C):
                    mean[k, c] += move * (m[k, c] - mean[k, c])
                    var[k, c] += move * (v[k, c] * unbiased - var[k, c])
        for table, expected in ((layer.running_mean, mean), (layer.running_var, var), (layer.mixture_weight, weight)):
            np.testing.assert_allclose(table.numpy(), expected, atol=1e-9)


@layouts
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("components", [1, K])
def test_gradients_are_right(shape: tuple[int, ...], channels_last: bool, training: bool, components: int) -> None:
    layer = random_layer(components, channels_last=channels_last).train(training)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def output(*_: Tensor) -> Tensor:
        result: Tensor = call_keeping_statistics(layer, x)  # at the same mixture each time
        return result

    assert torch.autograd.gradcheck(output, (x, layer.weight, layer.bias))


def test_first_batch_is_fitted_and_its_clusters_are_found() -> None:
    layer = MixtureNorm(C, components=K)
    layer(clusters(rows=64).float())
    order = torch.cdist(CENTRES.float(), layer.running_mean).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    torch.testing.assert_close(layer.running_mean[order], CENTRES.float(), atol=0.3, rtol=0)
    torch.testing.assert_close(layer.running_var, torch.ones(K, C), atol=0.4, rtol=0)
    torch.testing.assert_close(layer.mixture_weight[order], torch.tensor([0.5, 0.3, 0.2]), atol=0.05, rtol=0)
    assert layer.mixture_weight.sum().item() == pytest.approx(1)


def test_separate_clusters_come_out_centred_and_scaled_by_their_weight() -> None:
    layer = MixtureNorm(C, components=K)
    x = clusters(rows=64, spread=0.5).float()
    y = layer(x).movedim(1, -1).reshape(-1, C)
    component = torch.cdist(x.movedim(1, -1).reshape(-1, C), layer.running_mean).argmin(1)
    for k in range(K):
        torch.testing.assert_close(y[component == k].mean(0), torch.zeros(C), atol=0.05, rtol=0)
        expected = layer.mixture_weight[k].rsqrt()
        torch.testing.assert_close(y[component == k].std(0), expected.expand(C), atol=0, rtol=0.05)


def test_refits_are_as_many_steps_apart_as_asked_and_keep_the_order() -> None:
    layer = MixtureNorm(C, components=K, refit_every=4)
    fits, means = [], []
    for step in range(12):
        layer(clusters(step).float() + 0.1 * step)
        fits.append(em_seconds(layer)["em_fits"])
        means.append(layer.running_mean.clone())
    assert fits == [1, 0, 0, 0] * 3
    assert all((b - a).abs().max() < 1 for a, b in pairwise(means))  # clusters are 6 apart


def test_seconds_are_measured_and_read_once() -> None:
    model = nn.Sequential(MixtureNorm(C, components=K), nn.ReLU(), MixtureNorm(C, components=2))
    model(clusters().float())
    spent = em_seconds(model)
    assert spent["em_fits"] == 2
    assert spent["em_seconds"] > 0
    assert em_seconds(model) == {"em_fits": 0, "em_seconds": 0}
    assert em_seconds(nn.BatchNorm1d(3)) == {}


def test_before_its_first_fit_it_is_batch_norm() -> None:
    layer, bn = MixtureNorm(C, components=K), nn.BatchNorm1d(C)
    x = clusters().float()
    torch.testing.assert_close(layer.eval()(x), bn.eval()(x))
    with without_refits(layer):
        torch.testing.assert_close(layer.train()(x), bn.train()(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.running_mean[0], bn.running_mean)


def run(steps: int, layer: MixtureNorm) -> list[Tensor]:
    return [layer(clusters(int(layer.age) + 10 * step).float()).detach() for step in range(steps)]


def test_fits_depend_on_nothing_but_the_batches() -> None:
    a, b = (MixtureNorm(C, components=K, refit_every=3, samples=100) for _ in range(2))
    torch.manual_seed(1)
    first = run(7, a)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    np.random.seed(5)
    second = run(7, b)
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # and no random numbers are taken from anyone


@pytest.mark.parametrize("after", [0, 1, 4, 5])
def test_state_dict_round_trip_goes_on_bit_for_bit(after: int) -> None:
    layer, fresh = (MixtureNorm(C, components=K, refit_every=3) for _ in range(2))
    run(after, layer)
    fresh.load_state_dict(layer.state_dict())
    for x, y in zip(run(5, layer), run(5, fresh), strict=True):
        assert torch.equal(x, y)
    assert all(torch.equal(value, fresh.state_dict()[key]) for key, value in layer.state_dict().items())
    assert torch.equal(layer.eval()(clusters().float()), fresh.eval()(clusters().float()))
    assert "spent" not in layer.state_dict()  # seconds differ from run to run


def test_second_forward_neither_fits_nor_is_kept() -> None:
    layer, alone = MixtureNorm(C, components=K, refit_every=2), MixtureNorm(C, components=K, refit_every=2)
    for step in range(5):
        call_keeping_statistics(layer, clusters(100 + step).float())
        a, b = layer(clusters(step).float()), alone(clusters(step).float())
        assert torch.equal(a, b)
    assert em_seconds(layer)["em_fits"] == em_seconds(alone)["em_fits"] == 3


def test_average_starts_at_the_first_fit_and_keeps_the_components_apart() -> None:
    layer = MixtureNorm(C, components=K, refit_every=5)
    ema = MovingAverage(layer, 0.9)
    for step in range(20):
        layer(clusters(step, rows=32).float())
        ema.update_parameters(layer)
        distance = torch.cdist(ema.module.running_mean, CENTRES.float()).min(0).values
        assert distance.max() < 0.7, step  # never between a cluster and zero
    x = clusters(99).float()
    torch.testing.assert_close(ema.module.eval()(x), layer.eval()(x), atol=0.5, rtol=0.2)


DEGENERATE = {
    "constant": torch.full((8, C, 4), 3.0),
    "constant channel": torch.stack([torch.full((8, 16), 3.0), torch.randn(8, 16)], dim=1),
    "one row": torch.randn(1, C),
    "fewer samples than components": torch.randn(2, C),
    "two different samples": torch.randn(2, C).repeat(8, 1),
    "huge": 1e18 * torch.randn(8, C, 4),
    "tiny": 1e-25 * torch.randn(8, C, 4),
    "an outlier": torch.cat([torch.randn(63, C), torch.full((1, C), 1e4)]),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_batches_leave_no_nan_and_no_warning(case: str, first: bool) -> None:
    layer = MixtureNorm(C, components=K, refit_every=1)
    if not first:
        layer(clusters().float())
    x = DEGENERATE[case].clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            y = layer(x)
            (grad,) = torch.autograd.grad(y.pow(2).sum(), x)
            assert torch.isfinite(y).all()
            assert torch.isfinite(grad).all()
    layer(clusters().float())
    assert all(torch.isfinite(value).all() for value in layer.state_dict().values())
    assert layer.mixture_weight.sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(layer.eval()(x)).all()


def test_layer_that_starts_on_a_degenerate_batch_is_fitted_by_the_next() -> None:
    layer = MixtureNorm(C, components=K, refit_every=1000)
    layer(DEGENERATE["constant"])
    assert layer.mixture_weight.tolist() == [1, 0, 0]
    layer(clusters().float())
    assert layer.mixture_weight.min() > 0.1


def test_component_without_samples_comes_back_at_the_next_fit() -> None:
    layer = MixtureNorm(C, components=K, refit_every=200)
    x = clusters(rows=64).float()
    layer(x)
    lost = int(torch.cdist(layer.running_mean, CENTRES[1:2].float()).argmin())
    for step in range(150):  # the cluster at (6, -4) vanishes
        flat = clusters(step).float().movedim(1, -1).reshape(-1, C)
        layer(flat[flat[:, 0] < 3])
    assert layer.mixture_weight[lost] < 0.002
    for step in range(60):
        layer(clusters(step, rows=32).float())
    assert layer.mixture_weight[lost] > 0.1
    torch.testing.assert_close(layer.mixture_weight.sum(), torch.tensor(1.0))


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        (2, {"refit_every": 0}, "refit_every must be at least 1, got 0"),
        (2, {"samples": 2}, "samples must be at least the number of components, 3, got 2"),
        (2, {"momentum": 0}, "momentum must be above 0 and at most 1, got 0"),
        (2, {"momentum": 1.5}, "momentum must be above 0 and at most 1, got 1.5"),
    ],
)
def test_wrong_options_are_refused(features: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureNorm(features, **options)
