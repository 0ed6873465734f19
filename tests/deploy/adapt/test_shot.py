"""SHOT's loss and pseudo-labels against plain loops; what moves."""

import math

import torch

from dacn.deploy.adapt.adapter import snapshot
from dacn.deploy.adapt.shot import Shot, information_loss, pseudo_labels
from tests.deploy.adapt.networks import NEW, images, network


def test_information_loss_is_that_of_loops() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = logits.softmax(1).tolist()
    sure = sum(-sum(p * math.log(p) for p in row) for row in rows) / 5
    mean = [sum(row[k] for row in rows) / 5 for k in range(3)]
    spread = -sum(p * math.log(p + 1e-5) for p in mean)
    torch.testing.assert_close(information_loss(logits).item(), sure - spread)


def _cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def test_pseudo_labels_are_those_of_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    probabilities = torch.randn(30, 5, generator=generator, dtype=torch.float64).softmax(1)
    probabilities[:, 4] = 0  # a class that no prediction names has no centroid
    rows = [[*row, 1.0] for row in features.tolist()]
    rows = [[x / math.hypot(*row) for x in row] for row in rows]
    weights = probabilities.tolist()
    named = {max(range(5), key=row.__getitem__) for row in weights}
    for _ in range(2):
        centroids = {
            k: [sum(w[k] * row[c] for w, row in zip(weights, rows, strict=True)) for c in range(5)] for k in named
        }
        labels = [
            max((k for k in centroids if any(centroids[k])), key=lambda k: _cosine(row, centroids[k])) for row in rows
        ]
        weights = [[float(k == label) for k in range(5)] for label in labels]
    assert pseudo_labels(features, probabilities).tolist() == labels
    assert 4 not in labels


def test_the_head_stays_and_the_features_move() -> None:
    model = network()
    shot = Shot(model, NEW, lr=0.1)
    assert shot.shared
    before = snapshot(model)
    shot.learn(images(8), torch.arange(8) % 4)
    assert torch.equal(model.head.weight, before["head.weight"])
    assert torch.equal(model.head.bias, before["head.bias"])
    assert not torch.equal(model.state_dict()["backbone.layers.0.weight"], before["backbone.layers.0.weight"])
