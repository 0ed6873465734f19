"""Terms on the target's predictions, by NumPy row by row."""

import numpy as np
import pytest
import torch

from dacn.losses.target_terms import (
    certainty_weights,
    mean_entropy,
    minimum_class_confusion,
    negative_nuclear_norm,
    target_terms,
)

T, K = 9, 4
LOGITS = 2 * torch.randn(T, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max())
    return e / e.sum()


def entropy(p: np.ndarray) -> float:
    return float(-(p * np.log(p)).sum())


def test_confusion_by_hand() -> None:
    rows = [softmax(z / 2.5) for z in LOGITS.numpy()]
    weights = [1 + np.exp(-entropy(p)) for p in rows]
    weights = [T * w / sum(weights) for w in weights]
    confusion = sum(w * np.outer(p, p) for w, p in zip(weights, rows, strict=True))
    confusion /= confusion.sum(axis=1, keepdims=True)
    expected = (confusion.sum() - np.trace(confusion)) / K
    assert minimum_class_confusion(LOGITS).item() == pytest.approx(expected, abs=1e-12)


def test_weights_carry_no_gradient_in_the_confusion() -> None:
    """Equal to the gradient with the weights held fixed."""
    logits = LOGITS.clone().requires_grad_()
    minimum_class_confusion(logits).backward()
    held = certainty_weights((LOGITS / 2.5).softmax(dim=1))
    other = LOGITS.clone().requires_grad_()
    p = (other / 2.5).softmax(dim=1)
    confusion = torch.einsum("t,ti,tj->ij", held, p, p)
    confusion = confusion / confusion.sum(dim=1, keepdim=True)
    ((confusion.sum() - confusion.trace()) / K).backward()
    torch.testing.assert_close(logits.grad, other.grad)


def test_nuclear_norm_by_singular_values() -> None:
    p = LOGITS.softmax(dim=1)
    expected = -np.linalg.svd(p.numpy(), compute_uv=False).sum() / T
    assert negative_nuclear_norm(p).item() == pytest.approx(expected, abs=1e-12)


def test_confusion_with_weights_of_classes_by_hand() -> None:
    weights = torch.tensor([1.0, 0.25, 0.0, 0.5], dtype=LOGITS.dtype)
    p = np.array([softmax(z / 2.5) for z in LOGITS.numpy()])
    sure = np.array([1 + np.exp(-entropy(row)) for row in p])
    sure = sure / sure.mean()
    total = 0.0
    for k in range(p.shape[1]):
        row = [sum(sure[i] * p[i, k] * p[i, j] for i in range(len(p))) for j in range(p.shape[1])]
        total += weights[k].item() * (1 - row[k] / sum(row))
    assert minimum_class_confusion(LOGITS, 2.5, weights).item() == pytest.approx(total / 1.75, abs=1e-12)


def test_sure_and_diverse_is_best() -> None:
    diverse, alike = torch.eye(4), torch.eye(4)[[0, 0, 0, 0]]
    assert negative_nuclear_norm(diverse) < negative_nuclear_norm(alike)
    assert minimum_class_confusion(30 * diverse) < minimum_class_confusion(diverse)


def test_entropy_by_hand() -> None:
    expected = np.mean([entropy(softmax(z)) for z in LOGITS.numpy()])
    assert mean_entropy(LOGITS).item() == pytest.approx(expected, abs=1e-12)


def test_terms_are_weighted_and_named() -> None:
    found = target_terms({"mcc": 2.0, "bnm": 0.5, "entropy": 3.0}, LOGITS)
    p = LOGITS.softmax(dim=1)
    assert found["mcc"].item() == pytest.approx(2 * minimum_class_confusion(LOGITS).item())
    assert found["bnm"].item() == pytest.approx(0.5 * negative_nuclear_norm(p).item())
    assert found["entropy"].item() == pytest.approx(3 * mean_entropy(LOGITS).item())
    assert target_terms({}, LOGITS) == {}


@pytest.mark.parametrize("term", [minimum_class_confusion, negative_nuclear_norm, mean_entropy])
def test_sure_predictions_have_finite_gradients(term: object) -> None:
    logits = (1000 * torch.eye(3)).requires_grad_()
    (term(logits.softmax(dim=1)) if term is negative_nuclear_norm else term(logits)).backward()
    assert bool(logits.grad.isfinite().all())
