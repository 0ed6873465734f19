import copy

import torch
from torch import nn

from dacn.algorithms.statistics import call_keeping_statistics
from dacn.nn import AdaptiveContextNorm, ContextBatchNorm, ContextSequential, MixtureNorm, em_seconds

CONTEXT = torch.tensor([0, 1, 0, 1])


def model() -> ContextSequential:
    torch.manual_seed(0)
    return ContextSequential(
        nn.BatchNorm1d(3),
        ContextBatchNorm(3, 2),
        nn.Linear(3, 3),
        AdaptiveContextNorm(3, 2, fit="likelihood"),
        nn.BatchNorm1d(3),
    )


def test_output_is_that_of_training_and_no_buffer_moves() -> None:
    net, x = model(), torch.randn(4, 3)
    before, addresses = copy.deepcopy(net.state_dict()), [buffer.data_ptr() for buffer in net.buffers()]
    y = call_keeping_statistics(net, x, CONTEXT)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [buffer.data_ptr() for buffer in net.buffers()] == addresses
    torch.testing.assert_close(y, net(x, CONTEXT))
    for name in ("0.running_mean", "1.running_var", "3.mean", "4.num_batches_tracked"):  # an own call moves them
        assert not torch.equal(net.state_dict()[name], before[name]), name


def test_gradients_are_those_of_an_own_call() -> None:
    net, x = model(), torch.randn(4, 3)
    kept = torch.autograd.grad(call_keeping_statistics(net, x, CONTEXT).pow(3).sum(), list(net.parameters()))
    own = torch.autograd.grad(net(x, CONTEXT).pow(3).sum(), list(net.parameters()))
    for a, b in zip(kept, own, strict=True):
        torch.testing.assert_close(a, b)


def test_two_calls_before_one_backward() -> None:
    net, x = model(), torch.randn(4, 3)
    joint = net(x, CONTEXT)
    alone = call_keeping_statistics(net, x[:2], CONTEXT[:2])
    (joint.sum() + alone.pow(2).sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_mixtures_are_not_refitted() -> None:
    net, x = nn.Sequential(nn.Linear(3, 3), MixtureNorm(3, refit_every=1)), torch.randn(40, 3)
    net(x)
    assert em_seconds(net)["em_fits"] == 1
    before = copy.deepcopy(net.state_dict())
    call_keeping_statistics(net, 5 + x)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert em_seconds(net)["em_fits"] == 0
    net(x)  # and afterwards they are again
    assert em_seconds(net)["em_fits"] == 1
