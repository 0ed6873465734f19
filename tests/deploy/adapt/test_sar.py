"""SAR: the sharpness-aware step, the layers left out and the reset, against plain torch."""

import math

import torch

from dacn.deploy.adapt.adapter import snapshot
from dacn.deploy.adapt.sar import Sar, climb
from tests.deploy.adapt.networks import NEW, affine_of, changed, images, network, plain

MARGIN = 0.8 * math.log(4)
MOVING = ("1", "4", "8", "11")
"""The first four of the six norm layers."""


def test_climb() -> None:
    a, b = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    a.grad, b.grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    moves = climb([a, b], 0.05)
    torch.testing.assert_close(a.detach(), torch.tensor([0.03, 0.0]))
    torch.testing.assert_close(b.detach(), torch.tensor([0.04]))
    torch.testing.assert_close(moves[1], torch.tensor([0.04]))


def test_a_step_takes_the_gradient_from_uphill() -> None:
    model = network()
    sar, affine = Sar(model, NEW, margin=0.8, floor=0.0, lr=0.05), affine_of(model)
    moving = [value for name, value in affine.items() if name.partition(".")[0] in MOVING]
    x = images(8)
    scores = plain(model, x, affine)
    p = scores.softmax(1)
    first = -(p * p.log()).sum(1)
    counts = first.detach() < MARGIN
    assert 0 < int(counts.sum()) < 8
    gradients = torch.autograd.grad(first[counts].mean(), moving)
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    start = [value.detach().clone() for value in moving]
    with torch.no_grad():
        for value, g in zip(moving, gradients, strict=True):
            value += 0.05 * g / norm
    p = plain(model, x, affine).softmax(1)
    again = -(p * p.log()).sum(1)[counts]
    loss = again[again.detach() < MARGIN].mean()
    gradients = torch.autograd.grad(loss, moving)
    torch.testing.assert_close(sar.step(x), scores.detach())
    own = affine_of(model)
    expected = {id(v): s - 0.05 * g for v, s, g in zip(moving, start, gradients, strict=True)}
    for name, value in affine.items():
        torch.testing.assert_close(own[name], expected.get(id(value), value))
    assert sar.mean == loss.item() or abs(sar.mean - loss.item()) < 1e-9  # type: ignore[operator]


def test_the_second_pass_leaves_no_trace_in_the_statistics() -> None:
    model, twin = network(), network()
    Sar(model, NEW, margin=10.0, floor=0.0).step(images(6))
    Sar(twin, NEW, margin=0.0).step(images(6))  # no row counts: a single pass
    for one, other in zip(model.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_it_goes_back_where_the_entropy_is_too_low() -> None:
    model = network()
    before = snapshot(model)
    sar = Sar(model, NEW, margin=10.0, floor=100.0, lr=0.1)
    sar.step(images(6))
    assert changed(before, model) == set()
    assert sar.facts["resets"] == 1
    assert sar.mean is None
