"""How images are passed: in batches, in bfloat16, compiled; and no more often than answers differ."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dacn.data.domain import Domain, DomainPair
from dacn.data.views.augment import to_input
from dacn.evaluation.inference import predict
from dacn.evaluation.matrix import CELLS, Evaluation, context_matrix, evaluate
from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from tests import made_up

COUNT = 23
NORMS = ["acn", "acn_base", "cn", "bn", "gn", "acn_latent"]


def network(norm: str = "acn", contexts: int = 2, **given: Any) -> Classifier:
    """A small network whose contexts differ."""
    torch.manual_seed(0)
    tree = {"backbone": {"name": "small_cnn", "width": 4}, "input_norm": "none", "norm": norm} | given
    model = build_model(ModelConfig.model_validate(tree), 2, contexts)
    context = torch.arange(24) % contexts
    scale = (1.0 + context)[:, None, None, None]
    for _ in range(3):
        model(torch.randn(24, 3, 16, 16) * scale + scale, context)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


PAIR = made_up.pair(size=16, count=COUNT)


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (COUNT, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def context() -> Tensor:
    return torch.arange(COUNT) % 2


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_bf16_is_autocast_and_nothing_else(norm: str, known: bool, images: Tensor, context: Tensor) -> None:
    model, rows = network(norm), context if known else None
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = model(to_input(images), rows).float().softmax(dim=1)
    found = predict(model, images, rows, batch_size=COUNT, bf16=True)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    exact = predict(model, images, rows, batch_size=COUNT)
    assert 0 < (found - exact).abs().max() < 0.05


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that compiled networks are called with; nothing is compiled."""
    sizes: list[int] = []

    def pretend(call: nn.Module, *, dynamic: bool) -> Any:
        assert not dynamic
        return lambda x, rows: (sizes.append(len(x)), call(x, rows))[1]

    monkeypatch.setattr(torch, "compile", pretend)
    return sizes


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("batch_size", [5, 23, 50])
def test_compiled_networks_see_one_size_of_batch(
    known: bool, batch_size: int, images: Tensor, context: Tensor, compiling: list[int]
) -> None:
    model, rows = network(), context if known else None
    found = predict(model, images, rows, batch_size=batch_size, compiled=True)
    torch.testing.assert_close(found, predict(model, images, rows, batch_size=batch_size))
    assert set(compiling) == {batch_size}


@pytest.mark.slow
def test_compiled_answers_are_the_eager_ones_and_copies_are_not_compiled_anew(images: Tensor, context: Tensor) -> None:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    model = network()
    for each in (model, copy.deepcopy(model), model):
        for rows in (context, None):
            found = predict(each, images, rows, batch_size=8, compiled=True)
            torch.testing.assert_close(found, predict(each, images, rows, batch_size=8), atol=1e-5, rtol=1e-4)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs == 2, "one for known contexts and one for unknown ones"


class Counting(nn.Module):
    """A network, and how many images it was shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.images = model, 0

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        self.images += len(x)
        return self.model(x, context)


def one_context(pair: DomainPair) -> DomainPair:
    return replace(pair, contexts=("one",))


@pytest.mark.parametrize(
    ("norm", "pair", "passes"),
    [
        ("acn", PAIR, 3),
        ("cn", PAIR, 3),
        ("bn", PAIR, 1),
        ("gn", PAIR, 1),
        ("mn", PAIR, 1),
        ("acn", one_context(PAIR), 1),
    ],
)
def test_images_are_passed_once_for_each_answer_that_can_differ(norm: str, pair: DomainPair, passes: int) -> None:
    model = Counting(network(norm, pair.num_contexts))
    evaluate(model, pair, uses_target=True)
    assert pair.source_test is not None
    assert pair.target_test is not None
    tests = len(pair.source_test) + len(pair.target_test)
    assert model.images == passes * tests + len(pair.target), "and the target's own for the scores"


@pytest.mark.parametrize("uses_target", [True, False])
def test_a_target_that_is_tested_on_its_own_images_is_not_passed_again_for_the_scores(uses_target: bool) -> None:
    assert PAIR.target_test is not None
    twice = replace(PAIR, target=replace(PAIR.target_test, images=PAIR.target_test.images.clone()))
    model, again = Counting(network()), Counting(network())
    once = evaluate(model, replace(PAIR, target=PAIR.target_test), uses_target=uses_target)
    assert once.scores == pytest.approx(evaluate(again, twice, uses_target=uses_target).scores, rel=1e-5)
    assert again.images - model.images == len(PAIR.target_test)


@pytest.mark.parametrize("uses_target", [True, False])
@pytest.mark.parametrize("pair", [PAIR, one_context(PAIR)], ids=["two contexts", "one"])
@pytest.mark.parametrize("norm", NORMS)
def test_the_matrix_is_that_of_a_pass_for_each_cell(norm: str, pair: DomainPair, uses_target: bool) -> None:
    model = network(norm, pair.num_contexts)
    result: Evaluation = evaluate(model, pair, uses_target=uses_target, batch_size=7)
    by_context = norm in ("acn", "acn_base", "cn") and pair.num_contexts > 1
    contexts = {"source_context": 0, "target_context": pair.target_context, "unknown_context": None}
    for cell in CELLS:
        data, context = cell.split("/")
        domain: Domain = getattr(pair, data.replace("data", "test"))
        right = 0
        for image, label in zip(domain.images, domain.labels, strict=True):
            rows = None if contexts[context] is None else torch.tensor([contexts[context]])
            with torch.no_grad():
                right += int(model(to_input(image[None]), rows).argmax()) == int(label)
        untrained = by_context and context == "target_context" and not uses_target
        expected = None if untrained else pytest.approx(100 * right / len(domain))
        assert result.matrix[cell] == expected, cell


def test_the_matrix_of_some_images_is_of_those_at_even_distances() -> None:
    model = network("cn")
    some = context_matrix(model, PAIR, uses_target=True, most=5)
    chosen = [0, 5, 11, 16, 22]
    fewer = made_up.pair(size=16, count=COUNT)
    parts = {name: getattr(fewer, name).rows(torch.tensor(chosen)) for name in ("source_test", "target_test")}
    assert some == context_matrix(model, replace(fewer, **parts), uses_target=True)
    assert context_matrix(model, PAIR, uses_target=True, most=COUNT) == context_matrix(model, PAIR, uses_target=True)
