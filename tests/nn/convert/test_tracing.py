"""Tracing: one input and the context, everything else at its default, and a failure that names its module."""

import pytest
import torch
from torch import Tensor, fx, nn

from dacn.nn.convert.tracing import trace


class Options(nn.Module):
    def forward(self, x: Tensor, scale: float = 2.0, mask: Tensor | None = None, *rest: Tensor, **more: int) -> Tensor:
        if mask is not None or rest or more:
            return x
        return x * scale if scale > 1 else x


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Untraceable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def torch_layers(name: str, module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def test_other_arguments_are_fixed_at_their_defaults() -> None:
    graph = trace(Options(), torch_layers, "")
    assert [node.target for node in graph.nodes if node.op == "placeholder"] == ["x"]
    x = torch.rand(3)
    torch.testing.assert_close(fx.GraphModule(nn.Module(), graph)(x), 2 * x)


def test_context_stays_an_input() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return x + context

    graph = trace(Net(), torch_layers, "")
    assert [node.target for node in graph.nodes if node.op == "placeholder"] == ["x", "context"]


def test_failure_names_the_innermost_module_and_the_advice() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Sequential(Untraceable())))
    with pytest.raises(ValueError, match=r"cannot trace '1\.0\.0' \(Untraceable\): .*control flow.*; rewrite it"):
        trace(net, torch_layers, "rewrite it")
    with pytest.raises(ValueError, match=r"cannot trace TwoInputs: it takes a further input 'y' that has no default"):
        trace(TwoInputs(), torch_layers, "")


def test_message_of_an_assertion_holds_no_stand_in() -> None:
    class Sized(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            torch._assert(x.shape[0] == 3, f"expected 3 rows, got {x.shape[0]}")
            return x

    net = fx.GraphModule(nn.Module(), trace(Sized(), torch_layers, ""))
    assert net(torch.rand(3)).shape == (3,)
    with pytest.raises(AssertionError, match="expected 3 rows, got another"):
        net(torch.rand(2))
