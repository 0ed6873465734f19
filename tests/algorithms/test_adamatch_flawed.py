"""Each flaw against the mistake written out in NumPy; without flaws it is the method."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from dacn.algorithms import ALGORITHMS, AdaMatch, AdaMatchConfig, FlawedAdaMatch, FlawedAdaMatchConfig
from dacn.errors import RecipeError
from dacn.recipe.recipe import parse_recipe
from tests.algorithms.stand_ins import B, D, K, Linear, Planted, random_batch
from tests.algorithms.test_adamatch import ByHand, assert_alike, planted

SOURCE = [[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]]
TARGET = [[0.50, 0.30, 0.20], [0.40, 0.35, 0.25], [0.34, 0.33, 0.33]]


def flawed(*flaws: str, **more: Any) -> FlawedAdaMatch:
    config = FlawedAdaMatchConfig.model_validate({"flaws": flaws, **more})
    return FlawedAdaMatch(config, Planted(), K)  # type: ignore[arg-type]


def test_it_is_a_method_by_its_name_with_every_flaw() -> None:
    recipe = parse_recipe({"algorithm": "adamatch_flawed"}, "test")
    assert isinstance(recipe.algorithm, FlawedAdaMatchConfig)
    assert recipe.algorithm.flaws == (
        *("frozen_pass", "moved_statistics", "one_ratio", "l2_labels", "summed_source", "late_warm_up"),
    )
    assert ALGORITHMS["adamatch_flawed"] == (FlawedAdaMatch, FlawedAdaMatchConfig)
    with pytest.raises(RecipeError, match=r"algorithm\.flaws"):
        parse_recipe({"algorithm": {"name": "adamatch_flawed", "flaws": ["mirrored"]}}, "test")


def test_without_flaws_it_is_the_method() -> None:
    model = Linear().double()
    one = AdaMatch(AdaMatchConfig(), copy.deepcopy(model), K)  # type: ignore[arg-type]
    other = FlawedAdaMatch(FlawedAdaMatchConfig(flaws=()), copy.deepcopy(model), K)  # type: ignore[arg-type]
    assert_alike(one, other)


def test_one_ratio_aligns_nothing() -> None:
    """The method would pull the target's classes towards the source's marginal, which is far from theirs."""
    for algorithm, same in ((flawed("one_ratio"), True), (flawed(), False)):
        for _ in range(3):
            algorithm(planted(SOURCE, TARGET), 1.0)
        rows = torch.tensor([[0.42, 0.40, 0.18], [0.36, 0.34, 0.30]])
        algorithm.p_source.copy_(torch.tensor([0.1, 0.8, 0.1]))
        labels, keep = algorithm.pseudo_labels(rows)
        assert (labels.tolist() == [0, 0]) is same
        if same:
            assert keep.tolist() == [confidence >= 0.9 * 0.6 for confidence in (0.42, 0.36)]


def test_l2_labels_pass_the_threshold_and_are_learned_as_they_are() -> None:
    algorithm = flawed("one_ratio", "l2_labels")
    losses = algorithm(planted(SOURCE, TARGET), 1.0)
    threshold, total = 0.9 * (0.7 + 0.5) / 2, 0.0
    kept = 0
    for row in TARGET:
        label = np.array(row) / math.sqrt(sum(p * p for p in row))
        if label.max() >= threshold:
            kept += 1
            total -= float((label * np.log(row)).sum())
    assert kept == 3, "though none is as sure as 0.54"
    assert losses.parts["kept"].item() == 1.0
    assert losses.parts["loss/target"].item() == pytest.approx(total / 3, abs=1e-6)
    labels, keep = algorithm.pseudo_labels(torch.tensor([[0.5, 0.1, 0.1]]))
    assert (labels.tolist(), keep.tolist()) == ([0], [True])


def test_the_frozen_pass_reads_running_statistics() -> None:
    model = Linear().double()
    model.norm.running_mean.add_(3)  # type: ignore[union-attr,operator]
    algorithm = FlawedAdaMatch(FlawedAdaMatchConfig(flaws=("frozen_pass",)), model, K)  # type: ignore[arg-type]
    algorithm.batches += 1
    images = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    alone = algorithm.source_alone(images, torch.zeros(4, dtype=torch.int64))
    expected = ((images.flatten(1) - 3) / math.sqrt(1 + 1e-5)) @ model.weight.T
    torch.testing.assert_close(alone, expected)
    assert model.training
    assert model.norm.num_batches_tracked == 0


@pytest.mark.parametrize("moved", [False, True])
def test_the_frozen_pass_comes_before_or_after_the_statistics_have_moved(moved: bool) -> None:
    flaws = ("frozen_pass", "moved_statistics")[: 1 + moved]
    algorithm = FlawedAdaMatch(FlawedAdaMatchConfig(flaws=flaws), Linear().double(), K)  # type: ignore[arg-type]
    weight = algorithm.model.weight.detach().numpy()  # type: ignore[union-attr,operator]
    mean, var = np.zeros(D), np.ones(D)
    for step in range(3):
        batch = random_batch(step)
        x = torch.cat([*batch.source, *batch.target]).flatten(1).numpy()
        joint = ByHand.scores([view.numpy() for view in (*batch.source, *batch.target)], weight)[: 2 * B]
        after = 0.9 * mean + 0.1 * x.mean(0), 0.9 * var + 0.1 * x.var(0, ddof=1)
        read = after if moved else (mean, var)
        alone = (x[: 2 * B] - read[0]) / np.sqrt(read[1] + 1e-5) @ weight.T
        if step == 0 and not moved:  # there are no statistics yet
            alone = ByHand.scores([view.numpy() for view in batch.source], weight)
        torch.manual_seed(step)
        total = algorithm(batch, 0.0).total.item()
        torch.manual_seed(step)
        z = joint + torch.rand(2 * B, K, dtype=torch.float64).numpy() * (alone - joint)
        expected = -np.log(ByHand.softmax(z)[range(2 * B), batch.labels.repeat(2)]).mean()
        assert total == pytest.approx(expected, abs=1e-6)
        mean, var = after
        np.testing.assert_allclose(algorithm.model.norm.running_mean.numpy(), mean)  # type: ignore[union-attr,operator]
        assert algorithm.model.training


def test_moved_statistics_say_when_the_frozen_pass_comes() -> None:
    with pytest.raises(RecipeError, match="give frozen_pass beside it"):
        parse_recipe({"algorithm": {"name": "adamatch_flawed", "flaws": ["moved_statistics"]}}, "test")


def test_summed_source_losses_are_twice_their_mean() -> None:
    batch, losses = random_batch(0), []
    for flaws in ((), ("summed_source",)):
        algorithm = FlawedAdaMatch(FlawedAdaMatchConfig(flaws=flaws), Linear().double(), K)  # type: ignore[arg-type]
        torch.manual_seed(0)
        losses.append(algorithm(batch, 1.0))
    for name, times in (("loss/source", 2), ("loss/target", 1)):
        assert losses[1].parts[name].item() == pytest.approx(times * losses[0].parts[name].item())
    expected = losses[0].total + losses[0].parts["loss/source"]
    assert losses[1].total.item() == pytest.approx(expected.item())


def test_the_late_warm_up_ends_before_it_has_begun() -> None:
    assert flawed("late_warm_up", scheduled=10).warm_up(1.0) == pytest.approx(0.5 - 0.5 * math.cos(math.pi * 0.2))
    assert flawed().warm_up(1.0) == 1.0
