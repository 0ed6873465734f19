"""Self-ensembling's two losses, row by row."""

import numpy as np
import pytest
import torch

from dacn.losses.ensembling import class_balance, consistency

T, K = 6, 3
STUDENT, TEACHER = (
    torch.randn(T, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(3).softmax(dim=1)
    for seed in (0, 1)
)


def test_consistency_by_hand() -> None:
    expected, kept = 0.0, []
    for student, teacher in zip(STUDENT.numpy(), TEACHER.numpy(), strict=True):
        kept.append(bool(teacher.max() > 0.95))
        expected += kept[-1] * np.square(student - teacher).mean() / T
    loss, keep = consistency(STUDENT, TEACHER, 0.95)
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert keep.tolist() == kept
    assert 0 < sum(kept) < T


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    consistency(student, teacher, 0.5)[0].backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_class_balance_by_hand() -> None:
    mean, uniform = STUDENT.numpy().mean(0), 1 / K
    expected = -sum(uniform * np.log(m) + (1 - uniform) * np.log(1 - m) for m in mean)
    assert class_balance(STUDENT).item() == pytest.approx(expected, abs=1e-12)


def test_one_class_for_all_is_finite_and_worse() -> None:
    one = torch.eye(3)[[0, 0, 0]].requires_grad_()
    value = class_balance(one)
    value.backward()
    assert bool(one.grad.isfinite().all())
    assert value > class_balance(torch.eye(3))
