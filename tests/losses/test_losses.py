"""Each formula against plain loops and NumPy, then its corner cases."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dacn.losses.adversarial import discriminator_accuracy, domain_loss
from dacn.losses.information import mutual_information
from dacn.losses.progress import reversal_strength, warm_up
from dacn.losses.pseudo_labels import (
    align_distribution,
    confident,
    interpolate_logits,
    pseudo_label_loss,
    relative_threshold,
)

T, K = 7, 4
seeds = pytest.mark.parametrize("seed", [0, 1, 2])


def probabilities(seed: int, rows: int = T) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(rows, K, generator=generator, dtype=torch.float64)).softmax(1)


def marginal(seed: int) -> Tensor:
    return probabilities(100 + seed, 1)[0]


def align_by_hand(p: np.ndarray, p_source: np.ndarray, p_target: np.ndarray) -> np.ndarray:
    q = np.zeros_like(p)
    for i in range(len(p)):
        for k in range(K):
            q[i, k] = p[i, k] * (1e-6 + p_source[k]) / (1e-6 + p_target[k])
        q[i] /= sum(q[i])
    return q


@seeds
def test_alignment_by_hand(seed: int) -> None:
    p, p_source, p_target = probabilities(seed), marginal(seed), marginal(seed + 1)
    expected = align_by_hand(p.numpy(), p_source.numpy(), p_target.numpy())
    np.testing.assert_allclose(align_distribution(p, p_source, p_target).numpy(), expected, atol=1e-12)


@seeds
def test_alignment_changes_the_proportions_of_the_classes(seed: int) -> None:
    """A ratio over all entries at once would be one number, and normalizing would cancel it."""
    p = probabilities(seed)
    p_target, p_source = p.mean(0), marginal(seed)
    q = align_distribution(p, p_source, p_target)
    torch.testing.assert_close(q.sum(1), torch.ones(T, dtype=torch.float64))
    assert (q - p).abs().max() > 0.05
    before, after = (p.mean(0) - p_source).abs().sum(), (q.mean(0) - p_source).abs().sum()
    assert after < before
    for k in range(K):  # a class that the source has more often gains on one that it has less often
        gain = p_source[k] / p_target[k]
        torch.testing.assert_close(
            (q[:, k] / p[:, k]) / (q[:, 0] / p[:, 0]),
            (gain / (p_source[0] / p_target[0])).expand(T),
            rtol=1e-4,
            atol=1e-4,
        )


@seeds
def test_equal_marginals_change_nothing(seed: int) -> None:
    p = probabilities(seed)
    torch.testing.assert_close(align_distribution(p, marginal(seed), marginal(seed)), p)


def test_marginals_that_are_all_one_class_stay_finite() -> None:
    p = probabilities(0)
    first, last = torch.eye(K, dtype=torch.float64)[0], torch.eye(K, dtype=torch.float64)[-1]
    q = align_distribution(p, first, last)  # the target never predicts what the source always is
    torch.testing.assert_close(q.sum(1), torch.ones(T, dtype=torch.float64))
    assert q[:, 0].min() > 0.99
    sure = torch.eye(K)[torch.tensor([3])].float()
    torch.testing.assert_close(align_distribution(sure, first.float(), last.float()), sure)  # nothing else to choose


def test_no_gradient_through_the_alignment() -> None:
    logits = torch.randn(T, K, requires_grad=True)
    assert not align_distribution(logits.softmax(1), marginal(0).float(), marginal(1).float()).requires_grad


@seeds
def test_threshold_is_relative_to_the_mean_of_the_maxima(seed: int) -> None:
    p = probabilities(seed).requires_grad_()
    found = relative_threshold(p, 0.9)
    rows = p.detach().numpy()
    assert found.item() == pytest.approx(0.9 * sum(max(row) for row in rows) / T)
    assert found.shape == ()
    assert not found.requires_grad
    assert relative_threshold(torch.full((3, K), 1 / K), 0.9).item() == pytest.approx(0.9 / K)


@seeds
@pytest.mark.parametrize("kept", ["some", "none", "all"])
def test_pseudo_label_loss_is_a_mean_over_all_rows(seed: int, kept: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(T, K, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(K - 1, (T,), generator=generator)  # the last class is missing
    keep = {"some": torch.arange(T) % 3 == 0, "none": torch.zeros(T).bool(), "all": torch.ones(T).bool()}[kept]

    loss = pseudo_label_loss(logits, labels, keep)
    loss.backward()

    total, gradient = 0.0, np.zeros((T, K))
    for i, row in enumerate(logits.detach().numpy()):
        if keep[i]:
            softmax = np.exp(row) / np.exp(row).sum()
            total -= math.log(softmax[labels[i]])
            gradient[i] = (softmax - np.eye(K)[labels[i]]) / T
    assert loss.item() == pytest.approx(total / T, abs=1e-12)
    np.testing.assert_allclose(logits.grad.numpy(), gradient, atol=1e-12)


@seeds
def test_interpolation_moves_each_element_by_its_own_draw(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    joint, alone, u = (torch.rand(T, K, generator=generator, dtype=torch.float64) for _ in range(3))
    joint, alone = joint.requires_grad_(), alone.requires_grad_()
    z = interpolate_logits(joint, alone, u)
    for i in range(T):
        for k in range(K):
            a, b, w = joint[i, k].item(), alone[i, k].item(), u[i, k].item()
            assert z[i, k].item() == pytest.approx((1 - w) * a + w * b)
    z.sum().backward()
    torch.testing.assert_close(joint.grad, 1 - u)
    torch.testing.assert_close(alone.grad, u)


def test_interpolation_ends() -> None:
    joint, alone = torch.randn(T, K), torch.randn(T, K)
    assert torch.equal(interpolate_logits(joint, alone, torch.zeros(T, K)), joint)
    torch.testing.assert_close(interpolate_logits(joint, alone, torch.ones(T, K)), alone)


@pytest.mark.parametrize(
    ("progress", "weight"), [(0, 0), (0.125, 0.5 - 0.25 * math.sqrt(2)), (0.25, 0.5), (0.5, 1), (0.75, 1), (1, 1)]
)
def test_warm_up_is_half_a_cosine_over_the_first_half(progress: float, weight: float) -> None:
    assert warm_up(progress) == pytest.approx(weight, abs=1e-12)


def test_warm_up_never_falls() -> None:
    weights = [warm_up(i / 100) for i in range(101)]
    assert weights == sorted(weights)


@seeds
def test_mutual_information_by_hand(seed: int) -> None:
    p = probabilities(seed).numpy()
    mean = [sum(p[i, k] for i in range(T)) / T for k in range(K)]
    conditional = sum(-p[i, k] * math.log(p[i, k]) for i in range(T) for k in range(K)) / T
    expected = -sum(m * math.log(m) for m in mean) - conditional
    assert mutual_information(torch.tensor(p)).item() == pytest.approx(expected, abs=1e-12)
    assert 0 <= expected <= math.log(K)


def test_mutual_information_at_its_ends() -> None:
    assert mutual_information(torch.full((T, K), 1 / K)).item() == pytest.approx(0, abs=1e-6)  # sure of nothing
    assert mutual_information(torch.eye(K)[[1] * T]).item() == pytest.approx(0, abs=1e-6)  # collapsed to one class
    assert mutual_information(torch.eye(K)).item() == pytest.approx(math.log(K), abs=1e-6)  # sure and spread
    assert mutual_information(torch.eye(K)[:2]).item() == pytest.approx(math.log(2), abs=1e-6)  # classes missing


@seeds
@pytest.mark.parametrize("threshold", [1e-6, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_confident_rows_by_hand(seed: int, threshold: float, as_tensor: bool) -> None:
    p = probabilities(seed)
    labels, keep = confident(p, torch.tensor(threshold, dtype=p.dtype) if as_tensor else threshold)
    for i, row in enumerate(p.tolist()):
        assert row[labels[i]] == max(row)
        assert bool(keep[i]) == (max(row) >= threshold)
    assert labels.dtype == torch.int64
    assert keep.dtype == torch.bool
    if threshold in (1e-6, 1.0):
        assert keep.float().mean().item() == (threshold == 1e-6)


def test_the_threshold_itself_is_enough() -> None:
    assert confident(torch.tensor([[0.25, 0.75]]), 0.75)[1].item()


@pytest.mark.parametrize("alpha", [1.0, 10.0])
@pytest.mark.parametrize("t", [0.0, 0.05, 0.5, 1.0])
def test_reversal_strength_by_another_formula(alpha: float, t: float) -> None:
    assert reversal_strength(t, alpha) == pytest.approx(math.tanh(alpha * t / 2), abs=1e-12)


def test_reversal_strength_rises_from_nothing_to_all() -> None:
    strengths = [reversal_strength(i / 100) for i in range(101)]
    assert strengths[0] == 0
    assert strengths == sorted(strengths)
    assert 0.9999 < strengths[-1] < 1


@seeds
@pytest.mark.parametrize("rows", [(3, 9), (5, 5), (8, 1)], ids=str)
def test_domain_loss_by_hand(seed: int, rows: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    source, target = ((3 * torch.randn(n, generator=generator, dtype=torch.float64)).requires_grad_() for n in rows)
    loss = domain_loss(source, target)
    loss.backward()
    expected = 0.0
    for logits, is_target in ((source, 0), (target, 1)):
        gradient = []
        for z in logits.tolist():
            p = 1 / (1 + math.exp(-z))
            expected -= 0.5 * math.log(p if is_target else 1 - p) / len(logits)
            gradient.append(0.5 * (p - is_target) / len(logits))
        np.testing.assert_allclose(logits.grad.numpy(), gradient, atol=1e-12)
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_domain_loss_and_accuracy_of_some_rows_are_those_without_the_others() -> None:
    logits = torch.tensor([-1.0, 2.0, 3.0, -4.0, 5.0], requires_grad=True)
    target, rows = torch.tensor([0.5, -2.0]), torch.tensor([True, False, True, True, False])
    loss = domain_loss(logits, target, rows)
    torch.testing.assert_close(loss, domain_loss(logits.detach()[rows], target))
    loss.backward()
    assert (logits.grad != 0).tolist() == rows.tolist()
    assert discriminator_accuracy(logits, target, rows).item() == pytest.approx(50 * (2 / 3 + 1 / 2))


def test_domain_loss_stays_finite_where_a_sigmoid_would_not() -> None:
    logits = torch.tensor([1000.0], requires_grad=True)
    loss = domain_loss(logits, torch.tensor([-1000.0]))
    loss.backward()
    assert loss.item() == pytest.approx(1000)
    assert logits.grad.item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("source", "target", "accuracy"),
    [
        ([-1, -2, -3, -4], [1], 100),
        ([1, 2], [-1, -1, -1], 0),
        ([-1, -1, -1, 1], [5, 5, -5], 50 * (3 / 4 + 2 / 3)),
        ([3, 3, 3, 3, 3], [3], 50),  # one answer for everything
        ([0, 0, 0, 0, 0], [0], 50),
    ],
)
def test_discriminator_accuracy_by_hand(source: list[float], target: list[float], accuracy: float) -> None:
    found = discriminator_accuracy(torch.tensor(source).float(), torch.tensor(target).float())
    assert found.item() == pytest.approx(accuracy)
