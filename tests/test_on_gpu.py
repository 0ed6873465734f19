"""Whole runs on a pretended GPU: nothing mixes devices, and between logged steps the host waits for nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dacn.algorithms import ALGORITHMS
from dacn.data.domain import DomainPair
from dacn.data.views import loader
from dacn.errors import Interrupted
from dacn.models.norms import NORMS
from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe
from dacn.trainer.step import TrainingStep
from tests import made_up
from tests.interrupting import interrupt_after
from tests.pretended_gpu import PretendedGpu, pretended_gpu
from tests.pretended_graph import pretended_graphs

__all__ = ["pretended_gpu", "pretended_graphs"]  # fixtures
TREE: dict[str, Any] = {
    "name": "tiny",
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 4, "source_batch": 4, "target_ratio": 1, "log_every": 2, "compile": False},
    "evaluate": {"every": 4, "batch_size": 10},
    "augment": {"operations": 1},
}
ASKS = ("mn", "acn_latent", "adamatch_flawed", "bnm")
"""What asks the GPU for a value now and then."""
TASK = {"name": "acn", "fit": "task"}


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loader.TOGETHER, "cuda", (2, 2**20))


def run(out: Path, tree: dict[str, Any], pair: DomainPair | None = None, **options: Any) -> dict[str, Any]:
    merged = {
        key: TREE.get(key, {}) | value if isinstance(value, dict) else value for key, value in (TREE | tree).items()
    }
    return train_recipe(parse_recipe(merged, "test"), out=out, pair=pair or made_up.pair(), **options)


def without_target_labels() -> DomainPair:
    return replace(made_up.pair(), target_test=None)


def refuse_waiting(gpu: PretendedGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the host wait for nothing in a training step."""
    plain = TrainingStep.__call__

    def step(self: TrainingStep, *args: Any) -> Any:
        with gpu.without_waiting():
            return plain(self, *args)

    monkeypatch.setattr(TrainingStep, "__call__", step)


def whole_run(out: Path, gpu: PretendedGpu, patch: pytest.MonkeyPatch, algorithm: str, norm: Any) -> dict[str, Any]:
    if algorithm not in ASKS and norm not in ASKS:
        refuse_waiting(gpu, patch)
    both = {name: run(out / name, {"algorithm": algorithm, "model": {"norm": norm}}, pair) for name, pair in PAIRS}
    assert both["labelled"]["target"]["last"] is not None
    assert both["unlabelled"]["target"]["last"] is None
    return both["labelled"]


PAIRS = [("labelled", made_up.pair()), ("unlabelled", without_target_labels())]


def test_the_pretended_gpu_refuses_what_a_gpu_does(pretended_gpu: PretendedGpu) -> None:
    x, on_cpu = torch.ones(3, device="cuda", requires_grad=True), torch.ones(3)
    for mixed in (lambda: x + on_cpu, lambda: torch.cat([x, on_cpu]), lambda: torch.stack([x.sum(), on_cpu.sum()])):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    with pytest.raises(TypeError, match="numpy"):
        x.detach().numpy()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, device="cuda", generator=torch.Generator())
    (2.0 * x * on_cpu.sum()).sum().backward()
    assert x.grad is not None
    assert (x.grad.device.type, x.grad.tolist()) == ("cuda", [6.0] * 3)
    assert x.cpu().device.type == "cpu"
    with pretended_gpu.without_waiting():
        for wait in (lambda: x.sum().item(), lambda: x.tolist(), lambda: x[x > 0], lambda: bool(x.any()), x.cpu):
            with pytest.raises(RuntimeError, match="makes the host wait"):
                wait()


@pytest.mark.parametrize(("algorithm", "norm"), [("adamatch", "acn"), ("dann", "bn")])
def test_a_whole_run(
    tmp_path: Path, pretended_gpu: PretendedGpu, monkeypatch: pytest.MonkeyPatch, algorithm: str, norm: str
) -> None:
    whole_run(tmp_path, pretended_gpu, monkeypatch, algorithm, norm)


@pytest.mark.slow
@pytest.mark.parametrize("norm", [*NORMS, TASK], ids=str)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_with_every_norm(
    tmp_path: Path, pretended_gpu: PretendedGpu, monkeypatch: pytest.MonkeyPatch, algorithm: str, norm: Any
) -> None:
    whole_run(tmp_path, pretended_gpu, monkeypatch, algorithm, norm)


@pytest.mark.slow
@pytest.mark.pictures
def test_a_run_with_its_pictures(tmp_path: Path, pretended_gpu: PretendedGpu) -> None:
    run(tmp_path, {})
    assert (tmp_path / "figures" / "feature_map.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("way", [False, "graphs"])
def test_a_resumed_run_ends_as_the_whole_one(
    tmp_path: Path, pretended_graphs: PretendedGpu, monkeypatch: pytest.MonkeyPatch, way: Any
) -> None:
    tree = {"train": {"compile": way, "steps": 8}, "evaluate": {"every": 4}, "model": {"norm": "bn"}}
    whole = run(tmp_path / "whole", tree)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        with pytest.raises(Interrupted):
            run(tmp_path / "cut", tree)
    resumed = run(tmp_path / "cut", tree, resume=True)
    assert resumed["steps"] == whole["steps"] == 8
    last = [
        {name: value for name, value in _rows(tmp_path / each)[-1].items() if name != "images_per_second"}
        for each in ("whole", "cut")
    ]
    torch.testing.assert_close(*last, atol=1e-3, rtol=1e-3)


def _rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
