"""A replayed step against a plain one, on a pretended GPU whose graphs know no Python."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dacn.algorithms.base import Losses
from dacn.algorithms.fixmatch import FixMatch
from dacn.batch import Batch
from dacn.data.views import loader
from dacn.errors import RunError
from dacn.trainer.replay import WARM_UP
from tests.pretended_gpu import PretendedGpu, pretended_gpu
from tests.pretended_graph import PretendedGraph, pretended_graphs
from tests.stepping import ALL_CASES, FEW_CASES, STEPS, assert_same_steps, steps, trainer_of

__all__ = ["pretended_gpu", "pretended_graphs"]  # fixtures
PLACE = torch.device("cuda")


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loader.TOGETHER, "cuda", (3, 2**20))


@pytest.mark.parametrize(
    ("algorithm", "norm"),
    [case if case in FEW_CASES else pytest.param(*case, marks=pytest.mark.slow) for case in ALL_CASES],
    ids=str,
)
def test_replayed_steps_are_plain_ones(
    tmp_path: Path, pretended_graphs: PretendedGpu, algorithm: Any, norm: Any
) -> None:
    replayed, plain = (trainer_of(tmp_path, PLACE, way, algorithm, norm) for way in ("graphs", False))
    assert_same_steps(replayed, plain)


def test_a_replay_calls_no_python(
    tmp_path: Path, pretended_graphs: PretendedGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward = FixMatch.forward

    def counted(self: FixMatch, batch: Batch, progress: float | Tensor) -> Losses:
        calls.append(1)
        return forward(self, batch, progress)

    monkeypatch.setattr(FixMatch, "forward", counted)
    trainer = trainer_of(tmp_path, PLACE, "graphs", "fixmatch", "gn")
    steps(trainer, STEPS)
    assert len(calls) == WARM_UP + 1  # the one that was captured
    assert trainer.replayed is not None
    trainer.replayed.forget()  # what a step does has changed
    assert trainer.replayed.replay is None
    steps(trainer, WARM_UP + 2)
    assert len(calls) == 2 * (WARM_UP + 1)


def test_what_asks_the_gpu_for_a_value_is_refused_with_the_reason(
    tmp_path: Path, pretended_graphs: PretendedGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(tmp_path, PLACE, "graphs", "fixmatch", "gn")
    forward = FixMatch.forward

    def asking(self: FixMatch, batch: Batch, progress: float | Tensor) -> Losses:
        losses = forward(self, batch, progress)
        return losses._replace(total=losses.total * (1 + 0 * float(progress)))

    monkeypatch.setattr(FixMatch, "forward", asking)
    steps(trainer, WARM_UP)
    message = r"train\.compile: graphs cannot capture .*makes the host wait.*; use auto"
    with pytest.raises(RunError, match=message) as refused:
        steps(trainer, 1)
    assert refused.value.exit_code == 1


def test_out_of_memory_stays_what_it_is(
    tmp_path: Path, pretended_graphs: PretendedGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(tmp_path, PLACE, "graphs", "fixmatch", "gn")
    steps(trainer, WARM_UP)

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PretendedGraph, "record", full)
    with pytest.raises(torch.OutOfMemoryError):
        steps(trainer, 1)
