"""Every method with two sources, each with its own context, for two steps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dacn.algorithms import ALGORITHMS
from dacn.data.domain import DomainPair
from dacn.nn import AdaptiveContextNorm
from dacn.recipe.recipe import parse_recipe
from dacn.run.build import build_algorithm, build_trainer
from tests import made_up


def three_domains() -> DomainPair:
    reds, greens = (made_up.domain(name, 12, seed=tint, tint=tint) for tint, name in enumerate(("reds", "greens")))
    source = replace(
        reds,
        images=torch.cat([reds.images, greens.images]),
        labels=torch.cat([torch.arange(12) % 2] * 2),
        context=torch.arange(24) // 12,
    )
    return replace(made_up.pair(), source=source, contexts=("reds", "greens", "blues"))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_each_context_is_learned(tmp_path: Path, name: str) -> None:
    tree: dict[str, Any] = {
        "algorithm": name,
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": "acn"},
        "train": {"steps": 2, "source_batch": 8, "target_ratio": 1},
        "augment": {"operations": 0},
    }
    recipe, pair = parse_recipe(tree, "test"), three_domains()
    algorithm = build_algorithm(recipe, pair)
    nobody: Any = None  # steps are not tracked
    trainer = build_trainer(recipe, algorithm, pair, nobody, tmp_path)
    layer = next(layer for layer in algorithm.model.modules() if isinstance(layer, AdaptiveContextNorm))
    before = layer.mean.detach().clone()  # (3, C)
    for _ in range(2):
        batch = next(trainer.loader)
        assert set(batch.source_context.tolist()) == {0, 1}
        assert bool(trainer.train_step(batch).total.isfinite())
        trainer.step += 1
    moved = [not torch.equal(one, other) for one, other in zip(before, layer.mean, strict=True)]
    assert moved == [True, True, algorithm.uses_target]
