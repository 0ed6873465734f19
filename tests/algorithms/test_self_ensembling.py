"""Self-ensembling: whose batch statistics, what the teacher is, and what the student learns from it."""

import copy

import numpy as np
import pytest
import torch

from dacn.algorithms.self_ensembling import SelfEnsembling, SelfEnsemblingConfig
from tests.algorithms.tiny import K, Tiny, batch, cross_entropy, tiny


def make(**options: object) -> SelfEnsembling:
    return SelfEnsembling(SelfEnsemblingConfig(**options), tiny(), K).double()


def logits_of(model: Tiny, x: torch.Tensor) -> torch.Tensor:
    """By the statistics of these rows alone."""
    x = x.flatten(1)
    x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    return (x @ model.backbone.weight.T) @ model.head.weight.T + model.head.bias


def test_whole_method_by_hand() -> None:
    algorithm, data = make(threshold=0.45, weight=2.0, balance=0.1), batch()
    with torch.no_grad():
        algorithm.teacher.head.weight.mul_(3)  # another network than the student
    teacher = copy.deepcopy(algorithm.teacher)
    for ours, theirs in zip(teacher.parameters(), algorithm.model.parameters(), strict=True):
        ours.data = 0.99 * ours.data + 0.01 * theirs.data
    losses = algorithm(data, 0.1)

    source = logits_of(algorithm.model, torch.cat(data.source))
    source_loss = cross_entropy(source, torch.cat([data.labels] * 2))
    student = logits_of(algorithm.model, data.target.strong).softmax(dim=1).detach().numpy()
    sure = logits_of(teacher, data.target.weak).softmax(dim=1).detach().numpy()
    keep = sure.max(axis=1) > 0.45
    assert 0 < keep.sum() < len(keep)
    disagreement = sum(k * np.square(s - t).mean() for k, s, t in zip(keep, student, sure, strict=True)) / len(keep)
    mean = student.mean(axis=0)
    balance = -keep.mean() * sum(np.log(m) / K + (1 - 1 / K) * np.log(1 - m) for m in mean)
    assert losses.parts["loss/target"].item() == pytest.approx(disagreement, abs=1e-10)
    assert losses.parts["loss/balance"].item() == pytest.approx(balance, abs=1e-10)
    assert losses.parts["kept"].item() == pytest.approx(keep.mean())
    expected = source_loss.item() + 2 * (disagreement + 0.1 * balance)
    assert losses.total.item() == pytest.approx(expected, abs=1e-10)


def test_the_teacher_is_trained_by_no_gradient_and_saved() -> None:
    algorithm = make(threshold=0.0)
    algorithm(batch(), 0.0).total.backward()
    assert all(parameter.grad is None for parameter in algorithm.teacher.parameters())
    assert all(parameter.grad is not None for parameter in algorithm.model.parameters())
    assert any(name.startswith("teacher.") for name in algorithm.state_dict())


def test_the_teacher_follows_the_students_weights() -> None:
    algorithm = make(teacher_decay=0.75)
    before = algorithm.teacher.head.weight.clone()
    with torch.no_grad():
        algorithm.model.head.weight.add_(1)
    algorithm(batch(), 0.0)
    torch.testing.assert_close(algorithm.teacher.head.weight, before + 0.25)
