"""Each part left out against the method by hand without it; without all of them it is FixMatch."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from dacn.algorithms import ALGORITHMS, AblatedAdaMatch, AblatedAdaMatchConfig, FixMatch, FixMatchConfig
from dacn.batch import Views
from dacn.errors import RecipeError
from dacn.models.build import ModelConfig, build_model
from dacn.recipe.recipe import parse_recipe
from tests.algorithms.stand_ins import B, K, Linear, random_batch
from tests.algorithms.test_adamatch import ByHand, assert_alike, make

EVERY_PART = ("alignment", "interpolation", "relative_threshold", "strong_source", "warm_up")
LOPSIDED = [[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.6, 0.4, 0.0]]


def ablated(*without: str, **more: Any) -> AblatedAdaMatch:
    options = {"threshold": 0.9, "source_marginal_decay": 0.9, "target_marginal_batches": 3}
    config = AblatedAdaMatchConfig.model_validate(options | {"without": without} | more)
    return AblatedAdaMatch(config, Linear().double(), K)  # type: ignore[arg-type]


def test_it_is_a_method_by_its_name_without_any_part() -> None:
    recipe = parse_recipe({"algorithm": "adamatch_ablation"}, "test")
    assert isinstance(recipe.algorithm, AblatedAdaMatchConfig)
    assert recipe.algorithm.without == EVERY_PART
    assert ALGORITHMS["adamatch_ablation"] == (AblatedAdaMatch, AblatedAdaMatchConfig)
    with pytest.raises(RecipeError, match=r"algorithm\.without"):
        parse_recipe({"algorithm": {"name": "adamatch_ablation", "without": ["labels"]}}, "test")


def test_with_every_part_it_is_the_method() -> None:
    assert_alike(make(), ablated())


class WithoutOne(ByHand):
    """The method in NumPy with one of its formulas put out of use."""

    def __init__(self, part: str) -> None:
        super().__init__(0.9, 0.9, window=3)
        self.part = part

    def step(self, batch: Any, weight: np.ndarray, u: np.ndarray, mu: float) -> dict[str, Any]:
        if self.part == "interpolation":
            u = np.zeros_like(u)  # the joint end of the line
        if self.part == "warm_up":
            mu = 1.0
        return super().step(batch, weight, u, mu)


@pytest.mark.parametrize("part", ["interpolation", "warm_up"])
def test_one_part_less_by_hand(part: str) -> None:
    algorithm, by_hand, whole = ablated(part), WithoutOne(part), make()
    weight = algorithm.model.weight.detach().numpy()  # type: ignore[union-attr,operator]
    assert algorithm.two_forwards is (part != "interpolation")
    for step in range(4):
        batch, totals = random_batch(step), []
        for each in (algorithm, whole):
            torch.manual_seed(step)
            totals.append(each(batch, 0.2).total.item())
        torch.manual_seed(step)
        u = torch.rand(2 * B, K, dtype=torch.float64).numpy()
        mu = 0.5 - np.cos(np.pi * 0.4) / 2
        assert totals[0] == pytest.approx(by_hand.step(batch, weight, u, mu)["total"], abs=1e-6)
        assert totals[0] != pytest.approx(totals[1], abs=1e-4)


def test_without_alignment_a_lopsided_target_stays_so() -> None:
    """The same rows that AdaMatch moves to the other class in `test_alignment_decides_the_pseudo_label`."""
    for without, expected in ((["alignment"], [0, 0, 0]), ([], [0, 0, 1])):
        algorithm = ablated(*without, source_marginal_decay=0.0, threshold=0.1)
        algorithm._follow(torch.tensor([[0.5, 0.5, 0.0]] * 2), torch.tensor(LOPSIDED))
        labels, keep = algorithm.pseudo_labels(torch.tensor(LOPSIDED))
        assert labels.tolist() == expected
        assert keep.all()


def test_without_the_relative_threshold_the_source_does_not_matter() -> None:
    target = [[0.85, 0.10, 0.05], [0.5, 0.3, 0.2]]
    for without, bar, kept in (
        (("relative_threshold", "alignment"), 0.8, [True, False]),
        (("alignment",), 0.4, [True] * 2),
    ):
        algorithm = ablated(*without, threshold=0.8)
        algorithm._follow(torch.tensor([[0.5, 0.3, 0.2]] * 2), torch.tensor(target))  # the source is sure to 0.5
        assert algorithm.threshold.item() == pytest.approx(bar)
        assert algorithm.pseudo_labels(torch.tensor(target))[1].tolist() == kept


def test_without_strong_views_the_source_enters_once() -> None:
    algorithm, batch = ablated("strong_source"), random_batch(0)
    weight = algorithm.model.weight.detach().numpy()  # type: ignore[union-attr,operator]
    torch.manual_seed(0)
    total, parts = algorithm(batch._replace(source=Views(batch.source.weak, batch.source.strong * torch.nan)), 0.0)
    weak, targets = batch.source.weak.numpy(), [view.numpy() for view in batch.target]
    joint, alone = ByHand.scores([weak, *targets], weight)[:B], ByHand.scores([weak], weight)
    torch.manual_seed(0)
    z = joint + torch.rand(B, K, dtype=torch.float64).numpy() * (alone - joint)
    p = ByHand.softmax(z)
    assert total.item() == pytest.approx(-np.log(p[range(B), batch.labels]).mean(), abs=1e-6)
    np.testing.assert_allclose(parts["p_source"].numpy(), 0.9 / K + 0.1 * p.mean(0), atol=1e-6)


@pytest.mark.parametrize("norm", ["bn", "cn", "acn", "mn", "acn_latent"])
def test_without_every_part_it_is_fixmatch(norm: str) -> None:
    """To the bit: losses, gradients, and what both leave in the network's statistics."""
    torch.manual_seed(0)
    config = ModelConfig(norm=norm, input_norm="none", backbone={"name": "small_cnn", "width": 4})  # type: ignore[arg-type]
    model = build_model(config, K, num_contexts=2)
    fixmatch = FixMatch(FixMatchConfig(threshold=0.4), copy.deepcopy(model), K)
    ablation = AblatedAdaMatch(AblatedAdaMatchConfig(threshold=0.4), model, K)
    kept = []
    for step in range(3):
        batch = random_batch(step, size=16, dtype=torch.float32)
        losses = []
        for algorithm in (fixmatch, ablation):
            torch.manual_seed(step)
            losses.append(algorithm(batch, 0.1))
            losses[-1].total.backward()
        for name in ("loss/source", "loss/target", "kept", "threshold"):
            assert torch.equal(losses[0].parts[name], losses[1].parts[name]), name
        assert torch.equal(losses[0].total, losses[1].total)
        kept.append(losses[0].parts["kept"].item())
    assert 0 < np.mean(kept) < 1
    for (name, one), other in zip(fixmatch.named_parameters(), ablation.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name
    for name, value in fixmatch.model.state_dict().items():
        assert torch.equal(value, ablation.model.state_dict()[name]), name
