"""Each score against plain loops over numbers, and what it is high and low for."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dacn.evaluation.config import EvaluateConfig
from dacn.evaluation.validators import (
    SOURCE_ACCURACY,
    VALIDATORS,
    batch_nuclear_norm,
    negative_entropy,
    soft_neighborhood_density,
)


def predictions(count: int, classes: int, seed: int, sharpness: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(count, classes, generator=generator)).softmax(dim=1)


def density_by_loops(p: list[list[float]], temperature: float) -> float:
    """Saito et al. 2021, equations 1 and 2: the entropy of each row's softmax over the others."""
    entropies = []
    for i, a in enumerate(p):
        weights = []
        for j, b in enumerate(p):
            if i != j:
                cosine = sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)
                weights.append(math.exp(cosine / temperature))
        shares = [weight / sum(weights) for weight in weights]
        entropies.append(-sum(share * math.log(share) for share in shares))
    return sum(entropies) / len(entropies)


@pytest.mark.parametrize("shape", [(7, 3), (5, 10), (30, 2)])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_soft_neighborhood_density_against_loops(shape: tuple[int, int], temperature: float) -> None:
    p = predictions(*shape, seed=sum(shape))
    # the image itself has a weight of exp(-1 / temperature) against the others' at least 1
    tolerance = 1e-5 if temperature < 0.1 else 0.1
    expected = density_by_loops(p.tolist(), temperature)
    assert float(soft_neighborhood_density(p, temperature)) == pytest.approx(expected, rel=tolerance)


def test_density_prefers_dense_clusters() -> None:
    scattered = predictions(200, 5, seed=0, sharpness=1.0)
    clusters = torch.eye(5).repeat(40, 1) * 0.96 + 0.008
    assert soft_neighborhood_density(clusters) > soft_neighborhood_density(scattered) - 0.5
    assert float(soft_neighborhood_density(clusters)) == pytest.approx(math.log(39), abs=0.05)  # 39 others, all alike
    assert float(soft_neighborhood_density(torch.full((9, 4), 0.25))) == pytest.approx(math.log(8), abs=1e-5)
    assert float(soft_neighborhood_density(torch.tensor([[0.3, 0.7]]))) == 0, "one image has no neighbours"


@pytest.mark.parametrize("shape", [(7, 3), (4, 10), (50, 2)])
def test_batch_nuclear_norm_against_numpy(shape: tuple[int, int]) -> None:
    p = predictions(*shape, seed=1)
    eigenvalues = np.linalg.eigvalsh(p.double().numpy().T @ p.double().numpy())
    expected = np.sqrt(eigenvalues.clip(0)).sum() / math.sqrt(shape[0] * min(shape))
    assert float(batch_nuclear_norm(p)) == pytest.approx(expected, rel=1e-4)


def test_batch_nuclear_norm_is_one_for_sure_and_balanced_predictions_only() -> None:
    balanced = torch.eye(4).repeat(10, 1)
    assert float(batch_nuclear_norm(balanced)) == pytest.approx(1, abs=1e-5)
    assert float(batch_nuclear_norm(torch.eye(4)[[0] * 40])) == pytest.approx(0.5, abs=1e-5)  # one class of four
    assert float(batch_nuclear_norm(balanced * 0.6 + 0.1)) < 0.9


def test_negative_entropy_against_loops() -> None:
    p = predictions(9, 4, seed=2)
    expected = sum(x * math.log(x) for row in p.tolist() for x in row) / 9
    assert float(negative_entropy(p)) == pytest.approx(expected, rel=1e-5)
    assert float(negative_entropy(torch.eye(3)[[0] * 5])) == 0


@pytest.mark.parametrize("name", VALIDATORS)
def test_every_score_is_finite_and_knows_no_order_of_images(name: str) -> None:
    p = predictions(20, 4, seed=3)
    shuffled = p[torch.randperm(20, generator=torch.Generator().manual_seed(0))]
    torch.testing.assert_close(VALIDATORS[name](p), VALIDATORS[name](shuffled))
    collapsed = torch.eye(4)[[2] * 20]
    assert torch.isfinite(VALIDATORS[name](collapsed))
    assert torch.isfinite(VALIDATORS[name](p[:1]))


def test_a_recipe_may_name_each_of_them() -> None:
    for name in (*VALIDATORS, SOURCE_ACCURACY, "last"):
        assert EvaluateConfig(select=name).select == name
    with pytest.raises(ValueError, match="soft_neighborhood_density"):
        EvaluateConfig(select="target_accuracy")
