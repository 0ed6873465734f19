"""The bottleneck, and the input scale, of a whole network."""

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from dacn.models.bottleneck import Bottleneck
from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from dacn.models.input_scale import InputScale
from dacn.models.norms import NORMS
from dacn.nn import ContextNorm, fold_context
from dacn.trainer.ema import MovingAverage

CONTEXT = torch.tensor([0, 0, 0, 1, 1, 1])


def network(norm: str, width: int | None = 7) -> Classifier:
    torch.manual_seed(0)
    config = ModelConfig(backbone={"name": "small_cnn", "width": 4}, input_norm="none", norm=norm, bottleneck=width)
    return build_model(config, 5, 2)


def images() -> Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)) + CONTEXT[:, None, None, None]


@pytest.mark.parametrize("norm", [norm for norm in NORMS if norm != "in"])
def test_every_norm_trains_in_it(norm: str) -> None:
    model = network(norm)
    assert isinstance(model.bottleneck, Bottleneck)
    features = model.features(images(), CONTEXT)
    assert features.shape == (6, 7)
    assert (features >= 0).all()
    functional.cross_entropy(model.head(features), torch.tensor([0, 1, 2, 3, 4, 0])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_it_is_linear_then_normalized_by_context_then_relu() -> None:
    model = network("cn")
    bottleneck = model.bottleneck
    assert bottleneck is not None
    f = model.backbone(images(), CONTEXT).detach()
    z = f @ bottleneck.linear.weight.T + bottleneck.linear.bias
    expected = torch.empty_like(z)
    for k in (0, 1):
        rows = z[k == CONTEXT]
        expected[k == CONTEXT] = (rows - rows.mean(0)) / (rows.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(bottleneck(f, CONTEXT), expected.clamp_min(0), atol=1e-5, rtol=1e-4)


def test_it_folds_and_loads_again() -> None:
    model = network("cn")
    model(images(), CONTEXT)
    twin = network("cn")
    twin.load_state_dict(model.state_dict())
    expected = model.eval()(images(), CONTEXT * 0 + 1)
    assert torch.equal(twin.eval()(images(), CONTEXT * 0 + 1), expected)
    folded = fold_context(model, 1)
    torch.testing.assert_close(folded(images()), expected, atol=1e-5, rtol=1e-5)
    assert not any(isinstance(m, ContextNorm) for m in folded.modules())


def test_without_it_nothing_has_changed() -> None:
    assert network("cn", None).bottleneck is None
    assert not any("bottleneck" in name or "scale" in name for name in network("cn", None).state_dict())


def test_a_vector_has_no_positions_to_normalize_over() -> None:
    with pytest.raises(ValidationError, match="bottleneck: a norm over positions"):
        ModelConfig(norm="in", bottleneck=8)


def test_input_scale_is_that_of_the_weights() -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    pixels = torch.randint(0, 256, (2, 3, 4, 4)).float()
    expected = torch.stack([(pixels[:, c] / 255 - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(InputScale(mean, std)((pixels - 127.5) / 128), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("start", ["model", "zero"])
def test_no_average_changes_the_scale(start: str) -> None:
    scale = InputScale([0.4, 0.5, 0.6], [0.2, 0.3, 0.4])
    average = MovingAverage(scale, 0.9, start=start)
    for _ in range(3):
        average.update_parameters(scale)
    assert torch.equal(average.module.std, scale.std)
    assert torch.equal(average.module.mean, scale.mean)


def test_scale_comes_before_the_input_norm_and_is_saved() -> None:
    backbone = {"name": "torchvision", "arch": "squeezenet1_1", "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5)}
    model = build_model(ModelConfig(backbone=backbone, input_norm="cn"), 5, 2)
    other = build_model(ModelConfig(backbone=backbone | {"mean": (0, 0, 0)}, input_norm="cn"), 5, 2)
    assert not torch.equal(model.input_scale.mean, other.input_scale.mean)
    other.load_state_dict(model.state_dict())
    assert torch.equal(model.input_scale.mean, other.input_scale.mean)
    unscaled = copy.deepcopy(model)
    unscaled.input_scale = None
    seen: list[Tensor] = []
    for net in (model, unscaled):
        net.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        net(torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0)), CONTEXT)
    torch.testing.assert_close(*seen, atol=1e-3, rtol=1e-3)  # a norm takes off whatever scale was before it
