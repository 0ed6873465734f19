import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from dacn.algorithms.statistics import call_keeping_statistics, keeping_statistics
from dacn.nn import (
    AdaptiveContextNorm,
    AdaptiveContextNormBase,
    ContextBatchNorm,
    ContextSequential,
    LatentContextNorm,
    MixtureNorm,
    em_seconds,
    without_refits,
)
from dacn.nn.shared_batch_norm import SharedBatchNorm

CONTEXT = torch.tensor([0, 1, 0, 1])
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "bn": lambda: nn.BatchNorm2d(3),
    "bn without statistics": lambda: nn.BatchNorm2d(3, track_running_stats=False),
    "bn of several processes": lambda: SharedBatchNorm(3),
    "in with statistics": lambda: nn.InstanceNorm2d(3, track_running_stats=True),
    "acn by the task": lambda: AdaptiveContextNorm(3, 2),
    "acn": lambda: AdaptiveContextNorm(3, 2, fit="likelihood"),
    "acn_base": lambda: AdaptiveContextNormBase(3, 2),
    "cn": lambda: ContextBatchNorm(3, 2),
    "mn": lambda: MixtureNorm(3, components=2, refit_every=1),
    "acn_latent": lambda: LatentContextNorm(3),
}


def rows(seed: int) -> Tensor:
    return torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_computes_what_it_does_on_copies_and_keeps_its_own(name: str, started: bool) -> None:
    torch.manual_seed(0)
    net = ContextSequential(LAYERS[name]())
    if started:
        net(rows(0), CONTEXT)
    before = {key: value.clone() for key, value in net.named_buffers()}
    places = dict(net.named_buffers())
    copies = {key: value.clone() for key, value in net.named_buffers()}
    with without_refits(net):
        expected = functional_call(copy.deepcopy(net), copies, (rows(1), CONTEXT))
    y = call_keeping_statistics(net, rows(1), CONTEXT)
    torch.testing.assert_close(y, expected, atol=0, rtol=0)
    for key, value in net.named_buffers():
        assert value is places[key], key
        assert torch.equal(value, before[key]), key
    net(rows(1), torch.tensor([0, 0, 0, 1]))  # and afterwards they move again
    if before and "without" not in name:
        assert any(not torch.equal(value, before[key]) for key, value in net.named_buffers())


def test_a_forward_that_fails_leaves_all_as_it_was() -> None:
    net = model()
    flags = [layer.track_running_stats for layer in net if isinstance(layer, nn.BatchNorm1d)]
    places = dict(net.named_buffers())
    with pytest.raises(RuntimeError), keeping_statistics(net):
        net(torch.randn(4, 7), CONTEXT)
    assert [layer.track_running_stats for layer in net if isinstance(layer, nn.BatchNorm1d)] == flags == [True, True]
    assert all(value is places[key] for key, value in net.named_buffers())


def test_a_compiled_network_compiles_twice_and_not_at_every_step() -> None:
    torch.compiler.reset()
    graphs: list[Any] = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.manual_seed(0)
    layers = [LAYERS[name]() for name in ("acn by the task", "bn", "cn")]
    net = ContextSequential(*layers)
    plain = copy.deepcopy(net)
    net.compile(backend=count, fullgraph=True)
    for step in range(4):
        for module in (net, plain):
            module(rows(step), CONTEXT)
        alone, expected = (call_keeping_statistics(module, rows(9), CONTEXT) for module in (net, plain))
        torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-5)
    assert len(graphs) == 2
    for (name, value), expected in zip(net.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5, msg=name)


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
