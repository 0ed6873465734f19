"""Steps of small trainers, plain and replayed, to be compared with each other."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dacn.algorithms import ALGORITHMS
from dacn.batch import Batch, Views
from dacn.recipe.recipe import parse_recipe
from dacn.run.build import build_algorithm, build_trainer
from dacn.trainer.trainer import Trainer
from tests import made_up

STEPS = 6
TASK = {"name": "acn", "fit": "task"}
FLAWED = {"name": "adamatch_flawed", "flaws": ["one_ratio", "l2_labels", "late_warm_up"]}
ALL_CASES: list[tuple[Any, Any]] = [
    *[(name, norm) for name in ALGORITHMS for norm in ("acn", "bn") if name not in ("adamatch_flawed", "bnm")],
    *[("adamatch", norm) for norm in (TASK, "acn_base", "cn", "gn", "in", "ln", "none")],
    (FLAWED, "bn"),
]
"""Algorithms and norms whose steps can be replayed."""
FEW_CASES: list[tuple[Any, Any]] = [("adamatch", "acn"), ("adamatch", "bn"), ("adamatch", TASK), ("dann", "cn")]


def trainer_of(out: Path, place: torch.device, compile_it: Any, algorithm: Any, norm: Any, **train: Any) -> Trainer:
    """A trainer of a few steps in double precision, whose learning rate and limits of renormalization move."""
    norm = {"name": "acn", "opening": [0.0, 0.8]} if norm == "acn" else norm
    adaptive = {"name": "adamw", "lr": 1e-2}
    tree = {
        "name": "tiny",
        "algorithm": algorithm,
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "input_norm": "acn", "norm": norm},
        "train": {"steps": STEPS, "source_batch": 4, "target_ratio": 2, "compile": compile_it, **train},
        "augment": {"operations": 0},
        "optimizer": {"name": "sgd", "lr": 1e-2} if norm == "bn" else adaptive,
        "schedule": {"name": "cosine", "warm_up": 0.5},
    }
    recipe, pair = parse_recipe(tree, "test"), made_up.pair().to(place)
    method = build_algorithm(recipe, pair).double().to(place)
    nobody: Any = None  # steps are not tracked
    return build_trainer(recipe, method, pair, nobody, out)


def in_double(batch: Batch) -> Batch:
    source, target = (Views(*(view.double() for view in views)) for views in (batch.source, batch.target))
    return batch._replace(source=source, target=target)


def steps(trainer: Trainer, count: int) -> list[dict[str, Any]]:
    """What the next steps measure."""
    torch.manual_seed(trainer.step)
    found = []
    for _ in range(count):
        losses = trainer.train_step(in_double(next(trainer.loader)))
        trainer.step += 1
        found.append({"loss": losses.total.item()} | {name: value.tolist() for name, value in losses.parts.items()})
    return found


def state(trainer: Trainer) -> dict[str, Tensor]:
    """All numbers that steps change."""
    parts = {"algorithm": trainer.algorithm, "average": trainer.ema}
    tensors = {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}
    for index, saved in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": t for name, t in saved.items() if t is not None}
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def assert_same_steps(replayed: Trainer, plain: Trainer) -> None:
    """Have both do all of their steps, and compare what they measure and what remains."""
    assert replayed.replayed is not None
    assert plain.replayed is None
    torch.testing.assert_close(steps(replayed, STEPS), steps(plain, STEPS), atol=1e-6, rtol=1e-5)
    assert replayed.replayed.replay is not None
    torch.testing.assert_close(state(replayed), state(plain), atol=1e-6, rtol=1e-5)
    assert replayed.schedule.state_dict() == plain.schedule.state_dict()
    groups = [each.optimizer.state_dict()["param_groups"] for each in (replayed, plain)]
    assert groups[0] == groups[1]
