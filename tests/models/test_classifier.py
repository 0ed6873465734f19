"""Whole networks: which parameters learn, what the context changes, what one domain sees of the other."""

import copy

import pytest
import torch
from torch import Tensor, nn

from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier, has_context_statistics, shares_batch_statistics
from dacn.models.norms import NORMS
from dacn.nn import open_renorm

BACKBONES = [{"name": "small_cnn", "width": 4}, {"name": "wide_resnet", "depth": 10, "width": 1}]
BY_CONTEXT = ["acn", "cn"]  # acn_base too, but its start aside it is acn
every_backbone = pytest.mark.parametrize("backbone", BACKBONES, ids=lambda backbone: backbone["name"])


def network(backbone: dict[str, object], norm: object, input_norm: object | None = None) -> Classifier:
    torch.manual_seed(0)
    config = ModelConfig(backbone=backbone, norm=norm, input_norm=norm if input_norm is None else input_norm)
    return build_model(config, num_classes=5, num_contexts=2)


def images(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Six images of two domains, the second brighter, and their contexts."""
    context = torch.tensor([0, 0, 0, 1, 1, 1])
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(6, 3, 16, 16, generator=generator) + 0.5 * context[:, None, None, None], context


@every_backbone
@pytest.mark.parametrize("norm", NORMS)
def test_every_parameter_learns(backbone: dict[str, object], norm: str) -> None:
    model = network(backbone, norm)
    x, context = images()
    scores = model(x, context)
    assert scores.shape == (6, 5)
    nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 3, 4, 0])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@every_backbone
@pytest.mark.parametrize("norm", ["acn", "acn_base", "cn", "bn"])
def test_context_matters_where_the_norm_takes_it(backbone: dict[str, object], norm: str) -> None:
    model = network(backbone, norm)
    x, context = images()
    for seed in range(3):
        model(*images(seed))
    model.eval()
    change = (model(x, context) - model(x, 1 - context)).abs().max().item()
    assert (change > 0.01) is (norm != "bn")
    assert torch.isfinite(model(x)).all()  # context unknown


@every_backbone
@pytest.mark.parametrize("norm", [*BY_CONTEXT, "acn_base", "in", "gn", "ln", "none", "bn", "mn", "acn_latent"])
def test_two_domains_in_one_batch_are_each_alone(backbone: dict[str, object], norm: str) -> None:
    joint = network(backbone, norm)
    x, context = images()
    for seed in range(3):
        joint(*images(seed))
    open_renorm(joint, 0.3)
    alone = copy.deepcopy(joint)
    together = joint(x, context)
    apart = torch.cat([alone(x[context == k], context[context == k]) for k in (0, 1)])
    difference = (together - apart).abs().max().item()
    if shares_batch_statistics(joint):
        assert difference > 0.01
    else:
        assert difference < 1e-5


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("place", ["norm", "input_norm"])
def test_statistics_of_all_rows_are_shared_batch_statistics(norm: str, place: str) -> None:
    config = ModelConfig(backbone=BACKBONES[0], **{"norm": "none", "input_norm": "none", place: norm})
    assert shares_batch_statistics(build_model(config, 5, 2)) is (norm in ("bn", "mn", "acn_latent"))


def test_a_learned_mixture_shares_nothing_and_every_parameter_of_it_learns() -> None:
    model = network(BACKBONES[0], {"name": "acn_latent", "form": "paper"})
    assert not shares_batch_statistics(model)
    x, context = images()
    nn.functional.cross_entropy(model(x, context), torch.tensor([0, 1, 2, 3, 4, 0])).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    model(x, context)
    together, apart = model(x, context), torch.cat([model(x[context == k], context[context == k]) for k in (0, 1)])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_statistics_of_a_context_are_batch_statistics_that_contexts_may_share(norm: str) -> None:
    assert has_context_statistics(network(BACKBONES[0], norm, "none")) is (norm in ("cn", "acn"))


def test_a_gaussian_of_the_task_is_no_batch_statistic() -> None:
    assert not has_context_statistics(network(BACKBONES[0], {"name": "acn", "fit": "task"}, "none"))


def test_input_norm_comes_first_and_head_last() -> None:
    model = network(BACKBONES[0], "cn", input_norm="none")
    x, context = images()
    twin = copy.deepcopy(model)
    features = model.features(x, context)
    assert features.shape == (6, 12)
    torch.testing.assert_close(twin(x, context), features @ model.head.weight.T + model.head.bias)
    normed = network(BACKBONES[0], "none", input_norm="cn")
    scaled = (7 * x + 3).requires_grad_()
    torch.testing.assert_close(normed(scaled, context), normed(x, context), atol=1e-4, rtol=1e-4)


def test_head_starts_small_and_without_bias() -> None:
    torch.manual_seed(0)
    head = build_model(ModelConfig(), num_classes=200, num_contexts=2).head
    assert not head.bias.any()
    assert head.weight.std().item() == pytest.approx((2 / (96 + 200)) ** 0.5, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["acn", "cn", "mn", "acn_latent"])
def test_compiled_network_equals_eager(norm: str) -> None:
    """In double precision: in single, rounding decides which of two all but equal pixels a max-pooling takes."""
    torch.compiler.reset()
    eager = network(BACKBONES[0], norm).double()
    eager(images(1)[0].double(), images(1)[1])
    open_renorm(eager, 0.3)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, fullgraph=True)
    x, context = images()
    a, b = eager(x.double(), context), compiled(x.double(), context)
    torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)
    a.pow(3).sum().backward()
    b.pow(3).sum().backward()
    for p, q in zip(eager.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-8, rtol=1e-8)
