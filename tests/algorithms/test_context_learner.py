"""The context classifier trains beside the method and leaves the method alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dacn.algorithms.context_learner import ContextLearner
from dacn.data.domain import DomainPair
from dacn.data.pair.contexts import RandomContext, SuperclassContext, with_contexts
from dacn.errors import RecipeError
from dacn.recipe.recipe import parse_recipe
from dacn.run.build import build_algorithm, build_trainer
from dacn.run.run import train_recipe
from dacn.trainer.tracking import Tracker
from tests import made_up

GROUPS = {"first": ("class0", "class1"), "second": ("class2",)}


def superclassed() -> DomainPair:
    return with_contexts(SuperclassContext(groups=GROUPS), made_up.pair(classes=3, count=30))


def recipe(algorithm: Any = "supervised", **changes: Any) -> Any:
    tree = {
        "algorithm": algorithm,
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": "acn"},
        "train": {"steps": 40, "source_batch": 12, "target_ratio": 1, "ema": 0.9},
        "optimizer": {"name": "adamw", "lr": 1e-2},
        "evaluate": {"every": 20, "milestones": [1, 99.9]},
    }
    return parse_recipe(tree | changes, "test")


def steps(pair: DomainPair, out: Path, algorithm: Any, count: int) -> dict[str, torch.Tensor]:
    with Tracker(out, steps=40) as tracker:
        trainer = build_trainer(recipe(), algorithm, pair, tracker, out)
        for _ in range(count):
            trainer.train_step(next(trainer.loader))
    return {name: value.clone() for name, value in algorithm.model.state_dict().items()}


def test_the_method_trains_as_it_would_alone(tmp_path: Path) -> None:
    pair = superclassed()
    beside = build_algorithm(recipe(), pair)
    assert isinstance(beside, ContextLearner)
    alone = build_algorithm(recipe(), pair).method  # type: ignore[attr-defined]
    with_it, without = (steps(pair, tmp_path / str(i), a, 4) for i, a in enumerate((beside, alone)))
    for name, value in without.items():
        assert name.startswith("context_net") or torch.equal(value, with_it[name])
    moved = [n for n in without if n.startswith("context_net") and not torch.equal(without[n], with_it[n])]
    assert moved


def test_each_parameter_is_registered_once() -> None:
    algorithm = build_algorithm(recipe(), superclassed())
    names = [name for name, _ in algorithm.named_parameters(remove_duplicate=False)]
    assert len(names) == len({id(p) for p in algorithm.parameters()})
    assert isinstance(algorithm.model, nn.Module)


def test_three_accuracies_side_by_side_in_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = train_recipe(recipe(), out=tmp_path, device="cpu", pair=superclassed())
    contexts = summary["contexts"]
    assert (contexts["kind"], contexts["names"], contexts["leaks"]) == ("superclass", ["first", "second"], True)
    for data in ("source", "target"):
        assert set(contexts[data]) == {"known", "inferred", "unknown"}
        assert all(0 <= value <= 100 for value in contexts[data].values())
    assert summary["target"]["selected"] == contexts["target"]["inferred"]  # not the one that leaks
    assert summary["matrix"]["target_data/target_context"] == contexts["target"]["known"]
    assert summary["matrix"]["target_data/source_context"] is None
    assert any("superclass is derived from the label" in warning for warning in summary["warnings"])
    assert summary["updates_to"]["1"] == 20
    macro, per_class = summary["macro"]["target"], summary["per_class"]["target"]
    assert macro["f1"] == pytest.approx(sum(per_class["f1"]) / 3, abs=1e-3)


def test_a_resumed_run_keeps_its_context_classifier(tmp_path: Path) -> None:
    whole = train_recipe(recipe(), out=tmp_path / "whole", device="cpu", pair=superclassed())
    again = train_recipe(recipe(), out=tmp_path / "whole", device="cpu", pair=superclassed(), resume=True)
    assert again["contexts"] == whole["contexts"]


def test_contexts_that_a_method_cannot_use_are_refused() -> None:
    pair = superclassed()
    with pytest.raises(RecipeError, match=r"data\.context: superclass is derived from labels, .* that adamatch learns"):
        build_algorithm(recipe("adamatch"), pair)
    random = with_contexts(RandomContext(), made_up.pair())
    with pytest.raises(RecipeError, match=r"dann works between two domains, and data\.context is random"):
        build_algorithm(recipe("dann"), random)
    assert isinstance(build_algorithm(recipe("adamatch"), random), ContextLearner)
