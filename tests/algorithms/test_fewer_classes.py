"""Partial adaptation: the target holds fewer classes than the source."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from dacn.algorithms import ALGORITHMS
from dacn.errors import RecipeError
from dacn.losses.progress import warm_up
from dacn.recipe.recipe import parse_recipe
from dacn.run.build import build_algorithm
from tests import made_up
from tests.algorithms.tiny import K, batch, tiny

FEWER = replace(made_up.pair(), fewer_classes=True)
SMALL = {"backbone": {"name": "small_cnn", "width": 4}}


def weights_by_hand(p_target: torch.Tensor, progress: float) -> list[float]:
    share, most = float(warm_up(progress)), p_target.max().item()
    return [1 - share * (1 - min(1.0, 2 * p / most)) for p in p_target.tolist()]


def weighted_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, weights: list[float]) -> float:
    rows = [
        (weights[label], z.exp().sum().log().item() - z[label].item())
        for z, label in zip(logits, labels.tolist(), strict=True)
    ]
    return sum(weight * loss for weight, loss in rows) / sum(weight for weight, _ in rows)


def made(name: str, **options: Any) -> Any:
    method, config = ALGORITHMS[name]
    algorithm = method(config(**options), tiny(norm=False), K).double()
    algorithm.prepare(FEWER)
    algorithm.model.head.bias.data[2] -= 4  # the third class is hardly predicted
    return algorithm


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
def test_adamatch_weighs_the_source_and_the_marginal_that_is_aligned_with(progress: float) -> None:
    algorithm, data = made("adamatch", threshold=0.5), batch(rows=(6, 7))
    losses = algorithm(data, progress)
    with torch.no_grad():
        source = algorithm.model(torch.cat(data.source), data.source_context)
        weak = algorithm.model(data.target.weak, data.target_context).softmax(dim=1)
    weights = weights_by_hand(weak.mean(dim=0), progress)
    assert algorithm.class_weights.tolist() == pytest.approx(weights)
    assert (min(weights) < 0.9) == (progress > 0)
    expected = weighted_cross_entropy(source, torch.cat([data.labels] * 2), weights)
    assert losses.parts["loss/source"].item() == pytest.approx(expected, abs=1e-6)

    labels, keep = algorithm.pseudo_labels(weak)
    for p, label, kept in zip(weak.tolist(), labels.tolist(), keep.tolist(), strict=True):
        ratio = [
            (1e-6 + weight * source) / (1e-6 + target)
            for weight, source, target in zip(
                weights, algorithm.p_source.tolist(), algorithm.p_target.tolist(), strict=True
            )
        ]
        q = [value * each for value, each in zip(p, ratio, strict=True)]
        assert label == q.index(max(q))
        assert kept == (max(q) / sum(q) >= algorithm.threshold.item())


def test_mcc_weighs_both_losses() -> None:
    algorithm, data = made("mcc", target_marginal_decay=0.5, strong=False), batch(rows=(6, 7))
    losses = algorithm(data, 0.8)
    with torch.no_grad():
        source = algorithm.model(data.source.weak, data.source_context)
        p = algorithm.model(data.target.weak, data.target_context).softmax(dim=1)
    p_target = 0.5 / K + 0.5 * p.mean(dim=0)
    torch.testing.assert_close(algorithm.p_target, p_target, atol=1e-7, rtol=0)
    weights = weights_by_hand(p_target, 0.8)
    expected = weighted_cross_entropy(source, data.labels, weights)
    assert losses.parts["loss/source"].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["adamatch", "mcc"])
def test_all_weigh_the_same_where_the_classes_are_the_same(name: str) -> None:
    method, config = ALGORITHMS[name]
    algorithm, data = method(config(), tiny(norm=False), K).double(), batch()  # type: ignore[arg-type]
    algorithm.prepare(made_up.pair())
    weighted = made(name)
    weighted.model.head.bias.data[2] += 4
    for progress in (0.0, 0.9):
        losses, others = algorithm(data, progress), weighted(data, progress)
        if progress == 0:  # weights have not begun to differ
            assert losses.parts["loss/source"].item() == pytest.approx(others.parts["loss/source"].item())
    assert losses.parts["loss/source"].item() == pytest.approx(
        torch.nn.functional.cross_entropy(
            algorithm.model(torch.cat(data.source), data.source_context), torch.cat([data.labels] * 2)
        ).item()
    )


def build(algorithm: Any) -> Any:
    return build_algorithm(parse_recipe({"algorithm": algorithm, "model": SMALL}, "test"), FEWER)


@pytest.mark.parametrize(
    "algorithm",
    [
        *("adamatch", "adamatch_ablation", "fixmatch", "mcc", "source_only", "supervised"),
        {"name": "self_ensembling", "balance": 0},
        {"name": "adamatch", "target_terms": {"entropy": 0.1}},
    ],
    ids=str,
)
def test_methods_that_take_fewer_classes(algorithm: Any) -> None:
    assert build(algorithm) is not None


@pytest.mark.parametrize(
    "algorithm",
    [
        *("bnm", "cdan", "coral", "dann", "mcd", "mmd", "self_ensembling"),
        {"name": "adamatch", "target_terms": {"bnm": 0.1}},
        {"name": "fixmatch", "target_terms": {"mcc": 0.1}},
    ],
    ids=str,
)
def test_methods_that_do_not(algorithm: Any) -> None:
    name = algorithm if isinstance(algorithm, str) else algorithm["name"]
    message = f"data.target_classes: fewer: {name}, as it is set up, expects all .* classes .* use adamatch or mcc"
    with pytest.raises(RecipeError, match=message):
        build(algorithm)
