"""Distances of features, by plain loops over rows."""

import numpy as np
import pytest
import torch

from dacn.losses.moments import BANDWIDTHS, covariance_distance, mean_discrepancy


def features(rows: int, width: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64) * (1 + shift) + shift


def test_covariance_distance_by_hand() -> None:
    source, target = features(7, 3, 0), features(5, 3, 1, 0.5)
    expected = np.square(np.cov(source.numpy().T) - np.cov(target.numpy().T)).sum() / (4 * 9)
    assert covariance_distance(source, target).item() == pytest.approx(expected, abs=1e-12)


def test_covariances_of_rows_that_count() -> None:
    source, target = features(7, 3, 0), features(5, 3, 1, 0.5)
    counts = torch.tensor([True, False, True, True, True, False, True])
    alone = covariance_distance(source[counts], target)
    assert covariance_distance(source, target, counts).item() == pytest.approx(alone.item(), abs=1e-12)


def by_hand(layers: list[tuple[np.ndarray, np.ndarray]], widths: list[tuple[float, ...]]) -> float:
    """The unbiased estimator, pair by pair."""
    count, others = len(layers[0][0]), len(layers[0][1])
    total = count + others

    def kernel(i: int, j: int) -> float:
        value = 1.0
        for (ours, theirs), bandwidths in zip(layers, widths, strict=True):
            rows = np.concatenate([ours, theirs])
            mean = np.mean([((a - b) ** 2).sum() for a in rows for b in rows])
            distance = ((rows[i] - rows[j]) ** 2).sum()
            value *= sum(np.exp(-distance / (2 * b * mean)) for b in bandwidths)
        return float(value)

    source, target = range(count), range(count, total)
    ours = sum(kernel(i, j) for i in source for j in source if i != j) / (count * (count - 1))
    theirs = sum(kernel(i, j) for i in target for j in target if i != j) / (others * (others - 1))
    return ours + theirs - 2 * sum(kernel(i, j) for i in source for j in target) / (count * others)


@pytest.mark.parametrize("layers", [1, 2], ids=["DAN", "JAN"])
def test_mean_discrepancy_by_hand(layers: int) -> None:
    source = [features(4, 3 + k, k) for k in range(layers)]
    target = [features(6, 3 + k, 9 + k, 0.7) for k in range(layers)]
    widths = [BANDWIDTHS] * layers
    expected = by_hand([(a.numpy(), b.numpy()) for a, b in zip(source, target, strict=True)], widths)
    assert mean_discrepancy(source, target, bandwidths=widths).item() == pytest.approx(expected, abs=1e-10)


def test_discrepancy_of_rows_that_count() -> None:
    source, target = features(7, 3, 0), features(5, 3, 1, 0.5)
    counts = torch.tensor([True, False, True, True, True, False, True])
    alone = mean_discrepancy([source[counts]], [target])
    assert mean_discrepancy([source], [target], counts).item() == pytest.approx(alone.item(), abs=1e-10)


def test_domains_alike_are_near_and_others_are_not() -> None:
    near = mean_discrepancy([features(60, 4, 0)], [features(80, 4, 1)])
    far = mean_discrepancy([features(60, 4, 0)], [features(80, 4, 1, 2.0)])
    assert abs(near) < 0.1 < far


@pytest.mark.parametrize("distance", ["covariance", "discrepancy"])
def test_gradients_reach_both_domains_and_are_right(distance: str) -> None:
    source, target = features(4, 3, 0).requires_grad_(), features(5, 3, 1, 0.5).requires_grad_()

    def value(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return covariance_distance(a, b) if distance == "covariance" else mean_discrepancy([a], [b])

    if distance == "covariance":
        assert torch.autograd.gradcheck(value, (source, target))
    value(source, target).backward()
    assert source.grad.abs().sum() > 0
    assert target.grad.abs().sum() > 0


def test_rows_that_are_all_equal_are_finite() -> None:
    x = torch.ones(3, 2, requires_grad=True)
    value = mean_discrepancy([x], [torch.ones(4, 2)])
    value.backward()
    assert value.item() == 0
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize("distance", [covariance_distance, lambda a, b: mean_discrepancy([a], [b])])
def test_half_precision_is_summed_in_single(distance: object) -> None:
    source, target = features(8, 3, 0).bfloat16(), features(8, 3, 1, 0.5).bfloat16()
    expected = distance(source.float(), target.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert distance(source, target).item() == pytest.approx(expected.item(), rel=1e-5)
