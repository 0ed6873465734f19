"""The methods that add one term to the source's loss: total, parts and gradients against a plain pass."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from dacn.algorithms import ALGORITHMS
from dacn.losses.moments import covariance_distance, mean_discrepancy
from dacn.losses.target_terms import minimum_class_confusion, negative_nuclear_norm, target_terms
from tests.algorithms.tiny import K, batch, cross_entropy, passed, tiny

Scores = tuple[Tensor, Tensor]
TERMS = {
    "bnm": ("loss/nuclear", lambda source, target: negative_nuclear_norm(target[1].softmax(dim=1))),
    "coral": ("loss/covariance", lambda source, target: covariance_distance(source[0], target[0])),
    "mcc": ("loss/confusion", lambda source, target: minimum_class_confusion(target[1], 2.5)),
    "mmd": ("loss/discrepancy", lambda source, target: mean_discrepancy([source[0]], [target[0]])),
}
"""What each method adds, of features and logits; the formulas themselves are tested in tests/losses."""


def make(name: str, seed: int = 0, **options: Any) -> Any:
    algorithm, config = ALGORITHMS[name]
    return algorithm(config(**options), tiny(seed), K).double()


@pytest.mark.parametrize("strong", [True, False], ids=["both views", "weak alone"])
@pytest.mark.parametrize("name", TERMS)
def test_whole_method_against_a_plain_pass(name: str, strong: bool) -> None:
    algorithm, plain, data = make(name, strong=strong, weight=0.7), tiny(), batch()
    part, term = TERMS[name]
    losses = algorithm(data, 0.3)
    source, target, labels = passed(plain, data, strong)
    expected_loss, expected_term = cross_entropy(source[1], labels), term(source, target)
    assert losses.parts["loss/source"].item() == pytest.approx(expected_loss.item(), abs=1e-10)
    assert losses.parts[part].item() == pytest.approx(expected_term.item(), abs=1e-10)
    assert losses.total.item() == pytest.approx((expected_loss + 0.7 * expected_term).item(), abs=1e-10)
    assert not any(value.requires_grad for value in losses.parts.values())
    losses.total.backward()
    (expected_loss + 0.7 * expected_term).backward()
    torch.testing.assert_close(algorithm.model.backbone.weight.grad, plain.backbone.weight.grad)


def test_jan_multiplies_kernels_of_features_and_predictions() -> None:
    algorithm, data = make("mmd", joint=True), batch()
    source, target, _ = passed(tiny(), data, True)
    layers = [(each[0], each[1].softmax(dim=1)) for each in (source, target)]
    octaves = [(1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)] * 2
    expected = mean_discrepancy(*layers, bandwidths=octaves)
    assert algorithm(data, 0.0).parts["loss/discrepancy"].item() == pytest.approx(expected.item(), abs=1e-10)


CARRY_TERMS = [name for name, (_, config) in ALGORITHMS.items() if "target_terms" in config.model_fields]


@pytest.mark.parametrize("name", CARRY_TERMS)
def test_terms_on_the_target_are_added_and_logged(name: str) -> None:
    """Without a norm layer, so that logits are those of each row alone."""
    data, totals, losses = batch(), [], None
    for terms in ({}, {"mcc": 0.5, "entropy": 2.0}):
        torch.manual_seed(5)
        method, config = ALGORITHMS[name]
        losses = method(config(target_terms=terms), tiny(norm=False), K).double()(data, 0.5)
        totals.append(losses.total.item())
    which = {"dann": data.target[:1], "self_ensembling": data.target[1:]}.get(name, data.target)
    expected = target_terms({"mcc": 0.5, "entropy": 2.0}, tiny(norm=False)(torch.cat(which), data.target_context))
    assert losses is not None
    for term, value in expected.items():
        assert losses.parts[f"loss/{term}"].item() == pytest.approx(value.item(), abs=1e-10)
        assert not losses.parts[f"loss/{term}"].requires_grad
    assert totals[1] - totals[0] == pytest.approx(sum(value.item() for value in expected.values()), abs=1e-6)


def test_all_that_sees_the_target_carries_terms() -> None:
    assert set(ALGORITHMS) - set(CARRY_TERMS) == {"source_only", "supervised"}


@pytest.mark.parametrize("name", ["coral", "mmd", "cdan"])
def test_labelled_target_images_are_learned_but_are_not_of_the_source(name: str) -> None:
    options: dict[str, Any] = {"hidden": (6,)} if name == "cdan" else {}
    data = batch(rows=(6, 7))
    data.source_context[[1, 4]] = data.target_context[0]
    part = {"coral": "loss/covariance", "mmd": "loss/discrepancy", "cdan": "loss/domain"}[name]
    torch.manual_seed(1)
    algorithm = make(name, strong=False, **options)
    value = algorithm(data, 0.0).parts[part]
    source, target, _ = passed(tiny(), data, False)
    own = torch.tensor([0, 2, 3, 5])
    if name == "coral":
        expected = covariance_distance(source[0][own], target[0])
    elif name == "mmd":
        expected = mean_discrepancy([source[0][own]], [target[0]])
    else:
        expected = _conditional_loss(algorithm, (source[0][own], source[1][own]), target)
    assert value.item() == pytest.approx(expected.item(), abs=1e-10)


def _conditional_loss(algorithm: Any, source: Scores, target: Scores) -> Tensor:
    """Row by row: the weighted mean of each domain's binary cross-entropy, halved."""
    total = torch.zeros((), dtype=torch.float64)
    for (features, logits), sign in ((source, -1), (target, 1)):
        p = logits.softmax(dim=1)
        weights = [1 + torch.exp((row * row.log()).sum()) for row in p]
        for f, g, weight in zip(features, p, weights, strict=True):
            joined = torch.stack([value * f for value in g]).flatten()
            logit = algorithm.discriminator(joined[None])[0]
            total = total + 0.5 * weight / sum(weights) * torch.log1p(torch.exp(-sign * logit))
    return total


def test_bad_options_are_refused() -> None:
    for name, options in (("mcc", {"temperature": 0}), ("mmd", {"weight": -1}), ("bnm", {"target_terms": {"mmc": 1}})):
        with pytest.raises(ValidationError):
            ALGORITHMS[name][1](**options)
