import math

import pytest
import torch
from torch import nn

from dacn.nn import AdaptiveContextNorm
from dacn.trainer.drift import ContextDrift, gaussian_distance


def test_distance_against_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    mean_a, mean_b = torch.randn(2, 5, generator=generator)
    var_a, var_b = torch.rand(2, 5, generator=generator) + 0.1
    total = 0.0
    for m, v, n, w in zip(mean_a.tolist(), var_a.tolist(), mean_b.tolist(), var_b.tolist(), strict=True):
        total += ((m - n) ** 2 + (math.sqrt(v) - math.sqrt(w)) ** 2) / ((v + w) / 2)
    distance = gaussian_distance(mean_a, var_a, mean_b, var_b)
    assert float(distance) == pytest.approx(math.sqrt(total / 5), rel=1e-5)
    torch.testing.assert_close(distance, gaussian_distance(mean_b, var_b, mean_a, var_a))
    assert float(gaussian_distance(mean_a, var_a, mean_a, var_a)) == 0
    scaled = gaussian_distance(7 * mean_a, 49 * var_a, 7 * mean_b, 49 * var_b)
    torch.testing.assert_close(scaled, distance, msg="a layer of another scale is as far apart")


def network() -> nn.Module:
    layers = nn.ModuleDict({"first": AdaptiveContextNorm(2, 2), "second": AdaptiveContextNorm(2, 2)})
    for layer in layers.values():
        assert isinstance(layer, AdaptiveContextNorm)
        layer.initialized.fill_(True)
    return layers


def shift(model: nn.Module, layer: str, context: int, by: float) -> None:
    with torch.no_grad():
        model.get_parameter(f"{layer}.mean")[context] += by


def test_apart_and_moved_by_layer_and_on_average() -> None:
    model, drift = network(), ContextDrift(("source", "target"))
    drift.begin(model)
    shift(model, "first", 1, 3.0)
    drift.begin(model)  # the second time changes nothing
    assert drift.measure(model) == pytest.approx(
        {
            "contexts/apart/mean": 1.5,
            "contexts/moved/source/mean": 0.0,
            "contexts/moved/target/mean": 1.5,
            "contexts/apart/first": 3.0,
            "contexts/apart/second": 0.0,
            "contexts/moved/source/first": 0.0,
            "contexts/moved/source/second": 0.0,
            "contexts/moved/target/first": 3.0,
            "contexts/moved/target/second": 0.0,
        },
        abs=1e-5,
    )


def test_it_goes_on_where_it_was_saved() -> None:
    model, drift, again = network(), ContextDrift(("source", "target")), ContextDrift(("source", "target"))
    drift.begin(model)
    shift(model, "second", 0, 1.0)
    again.load_state_dict(drift.state_dict())
    again.begin(model)
    assert again.measure(model) == drift.measure(model)
    assert again.measure(model)["contexts/moved/source/second"] == pytest.approx(1.0, abs=1e-5)


def test_a_network_without_contexts_has_nothing_to_tell() -> None:
    drift = ContextDrift(("one",))
    drift.begin(nn.Linear(2, 2))
    assert drift.measure(nn.Linear(2, 2)) == {}
    single = AdaptiveContextNorm(2, 1)
    drift = ContextDrift(("one",))
    drift.begin(single)
    assert set(drift.measure(single)) == {"contexts/moved/one/mean", "contexts/moved/one/"}
