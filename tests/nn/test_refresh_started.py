"""Layers learned by the task compute a batch's moments only until every context has started."""

import copy

import pytest
import torch
from torch import nn

from dacn.nn import AdaptiveContextNorm, AdaptiveContextNormBase, ContextBatchNorm, refresh_started
from dacn.nn import functional as F

BOTH, ONE = torch.tensor([0, 1, 1, 0]), torch.tensor([1, 1, 1, 1])


def x(dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    """Rows that the CPU's own kernels do not take, so that a layer goes the way that it goes on a GPU."""
    return torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("kind", [AdaptiveContextNorm, AdaptiveContextNormBase])
def test_moments_are_left_out_once_it_is_known(
    kind: type[AdaptiveContextNorm] | type[AdaptiveContextNormBase], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    moments = F.context_moments
    monkeypatch.setattr(F, "context_moments", lambda *args: calls.append(1) or moments(*args))
    layer = kind(3, 2)
    layer(x(), ONE)
    assert not refresh_started(layer)  # context 0 has not occurred
    layer(x(), BOTH)
    layer(x(), BOTH)
    assert len(calls) == 3  # it was not told
    twin = copy.deepcopy(layer)
    assert refresh_started(nn.Sequential(layer, nn.ReLU()))
    assert not refresh_started(layer)  # nothing new
    y = layer(x(), BOTH)
    assert len(calls) == 3
    torch.testing.assert_close(y, twin(x(), BOTH))
    torch.testing.assert_close(layer.state_dict(), twin.state_dict())


def test_a_state_that_is_loaded_is_not_known() -> None:
    fresh, layer = AdaptiveContextNorm(3, 2), AdaptiveContextNorm(3, 2)
    layer(x(), BOTH)
    refresh_started(layer)
    layer.load_state_dict(fresh.state_dict())
    assert not layer.started
    layer(2 + x(), BOTH)
    torch.testing.assert_close(layer.mean[1], (2 + x().float())[1:3].mean((0, 2, 3)), atol=1e-2, rtol=1e-2)


def test_networks_without_such_layers_have_nothing_to_know() -> None:
    assert not refresh_started(nn.ReLU())
    layer = ContextBatchNorm(3, 2)
    layer(x(torch.float32), BOTH)
    assert layer.all_started(x(torch.float32))  # on a CPU the host may ask at each step
    assert not layer.started


def test_a_compiled_layer_compiles_once_more() -> None:
    torch.compiler.reset()
    layer = AdaptiveContextNorm(3, 2)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    compiled(x(), BOTH)
    twin = copy.deepcopy(layer)
    refresh_started(layer)
    torch.testing.assert_close(compiled(x(), BOTH), twin(x(), BOTH))
