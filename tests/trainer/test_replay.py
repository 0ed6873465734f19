"""A replayed step against a plain one, on a pretended GPU whose graphs know no Python."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dacn.algorithms import ALGORITHMS
from dacn.batch import Batch
from dacn.data.views import loader
from dacn.errors import RunError
from dacn.recipe.recipe import parse_recipe
from dacn.run.build import build_algorithm, build_trainer
from dacn.trainer import replay
from dacn.trainer.trainer import Trainer
from tests import made_up
from tests.pretended_gpu import PretendedGpu, pretended_gpu
from tests.pretended_graph import pretended_graphs

__all__ = ["pretended_gpu", "pretended_graphs"]  # fixtures
PLACE = torch.device("cuda")
STEPS = 6
TASK = {"name": "acn", "fit": "task"}
EACH_ALGORITHM = [(name, norm) for name in ALGORITHMS for norm in ("acn", "bn") if name != "adamatch_flawed"]
EACH_NORM = [("adamatch", norm) for norm in (TASK, "acn_base", "cn", "gn", "in", "ln", "none")]
FLAWED = {"name": "adamatch_flawed", "flaws": ["one_ratio", "l2_labels", "late_warm_up"]}


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loader.TOGETHER, "cuda", (2, 2**20))


def trainer(out: Path, compile_it: Any, algorithm: Any, norm: Any, **train: Any) -> Trainer:
    optimizer = {"name": "adamw", "lr": 1e-2} if norm in ("acn", "cn") else {"name": "sgd", "lr": 1e-2}
    tree = {
        "name": "tiny",
        "algorithm": algorithm,
        "model": {"backbone": {"name": "small_cnn", "width": 4}, "norm": norm},
        "train": {"steps": STEPS, "source_batch": 4, "target_ratio": 1, "compile": compile_it, **train},
        "augment": {"operations": 0},
        "optimizer": optimizer,
        "schedule": {"name": "cosine", "warm_up": 0.5},
    }
    recipe, pair = parse_recipe(tree, "test"), made_up.pair().to(PLACE)
    method = build_algorithm(recipe, pair).to(PLACE)
    nobody: Any = None  # steps are not tracked
    return build_trainer(recipe, method, pair, nobody, out)


def steps(trainer: Trainer, count: int) -> list[dict[str, Any]]:
    """The losses of the next steps."""
    torch.manual_seed(1)
    found = []
    for _ in range(count):
        losses = trainer.train_step(next(trainer.loader))
        trainer.step += 1
        found.append({"loss": losses.total.item()} | {name: value.tolist() for name, value in losses.parts.items()})
    return found


def assert_same(a: Any, b: Any) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("algorithm", "norm"), [*EACH_ALGORITHM, *EACH_NORM, (FLAWED, "bn")], ids=str)
def test_replayed_steps_are_plain_ones(tmp_path: Path, pretended_graphs: PretendedGpu, algorithm: Any, norm: Any) -> None:
    plain, replayed = (trainer(tmp_path, way, algorithm, norm) for way in (False, "graphs"))
    assert plain.replayed is None
    assert replayed.replayed is not None
    assert_same(steps(replayed, STEPS), steps(plain, STEPS))
    assert replayed.replayed.replay is not None
    for name in ("algorithm", "ema"):
        states = [
            {key: value.tolist() for key, value in getattr(each, name).state_dict().items()}
            for each in (replayed, plain)
        ]
        assert_same(*states)
    assert replayed.schedule.state_dict() == plain.schedule.state_dict()
