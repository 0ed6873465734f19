"""Limits of Batch Renormalization: told how far training is, or opened by training forwards that the layer counts."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from dacn.nn import AdaptiveContextNorm, LatentContextNorm, open_renorm
from dacn.nn import functional as F

CONTEXT = torch.tensor([0, 0, 1, 1, 0, 1])
LAYERS: dict[str, Callable[..., nn.Module]] = {
    "acn": lambda **options: AdaptiveContextNorm(3, 2, fit="likelihood", **options),
    "acn_latent": lambda **options: LatentContextNorm(3, 2, **options),
}


def forward(layer: nn.Module, times: int = 1) -> None:
    for _ in range(times):
        x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)).to(layer.mean.device)
        args = (x, CONTEXT.to(x.device)) if isinstance(layer, AdaptiveContextNorm) else (x,)
        layer(*args)


def limits(layer: nn.Module) -> tuple[float, float]:
    return layer.rho.item(), layer.delta.item()


def test_limits_of_steps_are_a_ramp_between_the_two() -> None:
    for steps in range(12):
        count, rho, delta = torch.tensor(steps), torch.tensor(1.0), torch.tensor(0.0)
        F.open_by_steps(count, (3, 9), rho, delta)
        opened = np.interp(steps, [3, 9], [0, 1])
        np.testing.assert_allclose([rho, delta], [1 + 2 * opened, 5 * opened], rtol=1e-6)
        assert count == steps + 1


@pytest.mark.parametrize("name", LAYERS)
def test_layer_that_nobody_tells_opens_by_itself(name: str) -> None:
    layer = LAYERS[name](opening_steps=(2, 6))
    seen = []
    for _ in range(9):
        forward(layer)
        seen.append(limits(layer))
    opened = np.interp(np.arange(9), [2, 6], [0, 1])
    np.testing.assert_allclose(seen, np.stack([1 + 2 * opened, 5 * opened], axis=1), rtol=1e-6)
    layer.eval()
    forward(layer, 3)
    assert layer.steps == 9


@pytest.mark.parametrize("name", LAYERS)
def test_layer_that_is_told_counts_nothing(name: str) -> None:
    layer = LAYERS[name](opening_steps=(0, 2))
    open_renorm(layer, 0.0)
    forward(layer, 5)
    assert limits(layer) == (1.0, 0.0)
    assert layer.steps == 0
    open_renorm(layer, 0.25)  # half way from 0.1 to 0.4
    forward(layer, 5)
    assert limits(layer) == pytest.approx((2.0, 2.5))


@pytest.mark.parametrize("name", LAYERS)
def test_state_dict_carries_how_far_it_is(name: str) -> None:
    counted, told = LAYERS[name](opening_steps=(2, 6)), LAYERS[name](opening_steps=(2, 6))
    forward(counted, 4)
    open_renorm(told, 0.25)
    for layer, steps, opened in ((counted, 4, 0.5), (told, 4, 0.5)):
        fresh = LAYERS[name](opening_steps=(2, 6))
        fresh.load_state_dict(layer.state_dict())
        assert fresh.steps == steps
        forward(fresh)
        assert limits(fresh) == pytest.approx((1 + 2 * opened, 5 * opened))


@pytest.mark.parametrize("name", LAYERS)
def test_state_from_before_steps_were_counted_loads(name: str) -> None:
    layer = LAYERS[name]()
    state = {key: value for key, value in layer.state_dict().items() if key != "steps"}
    layer.steps.fill_(7)
    assert layer.load_state_dict(state) == ([], [])  # nothing missing, nothing unexpected
    assert layer.steps == 7, "it goes on from where it was"
    assert nn.Sequential(layer).load_state_dict({f"0.{key}": value for key, value in state.items()}) == ([], [])


def test_counting_asks_the_host_for_nothing() -> None:
    layer = LAYERS["acn"](opening_steps=(0, 2)).to("meta")
    forward(layer, 3)  # a tensor without values has none to give


def test_compiled_layer_opens_without_compiling_again() -> None:
    torch.compiler.reset()
    eager = LAYERS["acn"](opening_steps=(1, 4))  # torch 2.11 compiles no change of a scalar in double precision
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    for step in range(6):
        x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(step))
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        with torch._dynamo.config.patch(error_on_recompile=step > 0):
            eager(a, CONTEXT).pow(3).sum().backward()
            compiled(b, CONTEXT).pow(3).sum().backward()
        torch.testing.assert_close(a.grad, b.grad)
    assert twin.steps == eager.steps == 6
    assert limits(twin) == (3.0, 5.0)
    for share in (0.2, 0.25, 0.3):  # to be told compiles once more, to be told another share does not
        for layer in (eager, twin):
            open_renorm(layer, share)
        with torch._dynamo.config.patch(error_on_recompile=share > 0.2):
            torch.testing.assert_close(compiled(x, CONTEXT), eager(x, CONTEXT))
    torch.testing.assert_close(twin.state_dict(), eager.state_dict())
    assert limits(twin) == pytest.approx((1 + 4 / 3, 10 / 3))
