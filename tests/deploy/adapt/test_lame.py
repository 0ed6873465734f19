"""LAME against plain loops."""

import math

import torch

from dacn.deploy.adapt.adapter import snapshot
from dacn.deploy.adapt.lame import Lame, corrected, neighbours
from tests.deploy.adapt.networks import NEW, changed, images, network


def test_neighbours_are_the_nearest_by_direction() -> None:
    angles = [0.0, 0.1, 0.3, 1.0]
    features = torch.tensor([[3 * math.cos(a), 3 * math.sin(a)] for a in angles])
    features[2] *= 100  # length does not count
    assert neighbours(features, 2).tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0]]
    assert neighbours(features[:2], 5).tolist() == [[0, 1], [1, 0]]


def test_corrected_is_the_fixed_point_of_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(6, 3, generator=generator, dtype=torch.float64).softmax(1)
    w = neighbours(torch.randn(6, 4, generator=generator, dtype=torch.float64), 2)
    z = q.tolist()
    for _ in range(300):
        pulled = [[sum(w[i, j].item() * z[j][k] for j in range(6)) for k in range(3)] for i in range(6)]
        rows = [[q[i, k].item() * math.exp(pulled[i][k]) for k in range(3)] for i in range(6)]
        z = [[value / sum(row) for value in row] for row in rows]
    torch.testing.assert_close(corrected(q, w), torch.tensor(z, dtype=torch.float64), atol=1e-4, rtol=0)


def test_nothing_in_the_network_moves() -> None:
    model = network()
    before = snapshot(model)
    lame = Lame(model, NEW)
    scores = lame.step(images(8))
    assert changed(before, model) == set()
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(8, dtype=torch.float64))
    torch.testing.assert_close(lame.step(images(1)).exp(), lame.scores(images(1)).softmax(1))  # no neighbour
