"""EATA: which rows count, and the step on them, against plain torch."""

import math

import torch

from dacn.deploy.adapt.adapter import snapshot
from dacn.deploy.adapt.eata import Eata, different, reliable
from tests.deploy.adapt.networks import NEW, affine_of, assert_affine, changed, images, network, plain

MARGIN = 0.8 * math.log(4)  # of a network that is sure of some rows and not of others


def test_rows_that_count() -> None:
    assert reliable(torch.tensor([0.1, 0.5, 0.4]), 0.45).tolist() == [True, False, True]
    mean = torch.tensor([3.0, 4.0, 0.0])
    rows = torch.tensor([[6.0, 8.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # cosines 1, 0, 0.6
    assert different(rows, mean, 0.61).tolist() == [False, True, True]
    assert different(rows, mean, 0.59).tolist() == [False, True, False]


def test_two_steps_are_sgds_on_the_weighed_entropy_of_the_rows_that_count() -> None:
    model = network()
    eata, affine = Eata(model, NEW, margin=0.8, similar=0.95, lr=0.05), affine_of(model)
    sgd = torch.optim.SGD([*affine.values()], lr=0.05, momentum=0.9)
    mean, counted = None, []
    for seed in (1, 2):
        x = images(8, seed)
        scores = plain(model, x, affine)
        torch.testing.assert_close(eata.step(x), scores.detach())
        terms, kept = [], []
        for p in scores.softmax(1):
            h = -(p * p.log()).sum()
            cosine = 0.0 if mean is None else float(mean @ p.detach() / (mean.norm() * p.detach().norm()))
            if h.item() < MARGIN and cosine < 0.95:
                terms.append(h * math.exp(MARGIN - h.item()))
                kept.append(p.detach())
        now = torch.stack(kept).mean(0)
        mean = now if mean is None else 0.9 * mean + 0.1 * now
        sgd.zero_grad()
        torch.stack(terms).mean().backward()  # type: ignore[no-untyped-call]
        sgd.step()
        counted.append(len(kept))
        assert_affine(model, affine)
    assert 0 < counted[0] <= 8
    assert counted[1] < 8  # both margins are met


def test_without_a_row_that_counts_nothing_is_learned() -> None:
    model = network()
    eata, affine = Eata(model, NEW, margin=1e-6), affine_of(model)
    before = snapshot(model)
    eata.step(images(6))
    assert changed(before, model) == {"running_mean", "running_var"}
    assert_affine(model, affine)
    assert eata.mean is None


def test_the_default_margins_are_the_papers() -> None:
    assert Eata(network(classes=10), NEW).margin == 0.4 * math.log(10)
    assert Eata(network(classes=10), NEW).similar == 0.4
    assert Eata(network(classes=200), NEW).similar == 0.05
