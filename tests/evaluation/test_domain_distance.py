import numpy as np
import pytest
import torch

from dacn.evaluation.domain_distance import proxy_a_distance


def halves(shift: float, count: int = 200, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2 * count, 5, generator=generator)
    of_target = torch.arange(2 * count) >= count
    features[of_target, 2] += shift
    return features, of_target


def test_from_alike_to_told_apart() -> None:
    alike, apart = proxy_a_distance(*halves(0.0)), proxy_a_distance(*halves(50.0))
    assert 0 <= alike < 0.3
    assert apart == 2
    # two Gaussians two standard deviations apart: the best line is wrong for 1 - Phi(1) = 15.9 % of the images
    assert proxy_a_distance(*halves(2.0, count=2000)) == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.08)


def test_it_repeats_and_bears_constant_features_and_halves_of_different_size() -> None:
    features, of_target = halves(1.0)
    features[:, 4] = 3.0
    rows = torch.arange(250)
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()
    first = proxy_a_distance(features[rows], of_target[rows])
    assert first == proxy_a_distance(features[rows], of_target[rows])
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == np.random.get_state()[1].tolist(), "nothing random is taken from training"
    assert proxy_a_distance(torch.zeros(8, 3), torch.arange(8) > 3) == 0
