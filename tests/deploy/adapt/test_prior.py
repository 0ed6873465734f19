"""How much images of one class, or of many, tell of a domain."""

import pytest
import torch

from dacn.deploy.adapt.prior import FEWEST, RANGE, STRENGTH, group_weights, strength_of


def _variance(weights: list[float], counts: list[int], groups: int) -> float:
    """The variance of a weighted mean of groups' means, one image's being 1 and half of it between classes."""
    return sum(0.5 * w * w + 0.5 * w * w / n for w, n in zip(weights, counts, strict=True) if n) - 0.5 / groups


@pytest.mark.parametrize("counts", [[5, 1, 0, 20], [100, 0, 0, 0], [7, 7, 7, 7], [1, 0, 0, 0]])
def test_weights_are_the_best_ones(counts: list[int]) -> None:
    weights, images = group_weights(torch.tensor(counts, dtype=torch.float64), 4, 0.5)
    own = weights.tolist()
    assert sum(own) == pytest.approx(1)
    best = _variance(own, counts, 4)
    assert images == pytest.approx(1 / max(best, 1 / sum(counts)))
    seen = [k for k, n in enumerate(counts) if n]
    for a in seen:
        for b in seen:
            if a != b:
                other = list(own)
                other[a], other[b] = own[a] + 0.01, own[b] - 0.01
                assert _variance(other, counts, 4) > best


def test_of_one_class_a_thousand_images_are_worth_a_few() -> None:
    assert group_weights(torch.tensor([1000.0] + [0.0] * 9), 10, 0.5)[1] < 3
    assert group_weights(torch.tensor([100.0] * 10), 10, 0.5)[1] == pytest.approx(1000)


def test_the_strength_is_the_ratio_of_spreads_within_limits() -> None:
    assert strength_of(0.6, 0.1, 100) == pytest.approx(6)
    assert strength_of(0.6, 0.1, FEWEST - 1) == STRENGTH
    assert strength_of(0.6, -0.01, 100) == RANGE[1]  # no farther than chance has it
    assert strength_of(0.01, 5.0, 100) == RANGE[0]
