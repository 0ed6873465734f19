"""Several processes train the network that one would."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from dacn.errors import RecipeError
from dacn.models.build import ModelConfig, build_model
from dacn.nn import processes
from dacn.nn.shared_batch_norm import share_statistics
from dacn.recipe.recipe import load_recipe
from dacn.run.run import train_recipe
from dacn.trainer import distributed
from dacn.trainer.config import TrainConfig
from dacn.trainer.signals import StopRequest
from tests import made_up
from tests.trainer import shared_training

RECIPE = """
augment: {shift: 0, operations: 0, cutout: 0}
model: {backbone: {name: small_cnn, width: 4}, norm: bn}
train: {steps: 4, source_batch: 16, target_ratio: 2, log_every: 1}
optimizer: {name: sgd, lr: 0.05}
evaluate: {every: 2, figures: false}
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes has after eight steps of every case."""
    folder = tmp_path_factory.mktemp("shared")
    mp.spawn(shared_training.work, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", shared_training.CASES)
def test_two_processes_equal_one_with_the_whole_batch(case: str, shared: list[dict[str, Any]]) -> None:
    losses, state = shared_training.train(case)
    for rank in range(2):
        their_losses, their_state = shared[rank][case]
        assert their_losses == pytest.approx(losses, abs=1e-9)
        assert set(their_state) == set(state), "checkpoints are interchangeable"
        for name, tensor in state.items():
            torch.testing.assert_close(their_state[name], tensor, atol=1e-8, rtol=0, msg=name)


def test_micro_batches_add_up_to_one_update() -> None:
    """Where no statistic is a part's own, their gradients are the whole batch's."""
    (whole, weights), (parts, same) = (shared_training.train("dann none", parts=count) for count in (1, 4))
    assert parts == pytest.approx(whole, abs=1e-9)
    for name, tensor in weights.items():
        torch.testing.assert_close(same[name], tensor, atol=1e-9, rtol=0, msg=name)


MORTAL = """
import os, signal
from dacn.cli import main
from dacn.trainer.trainer import Trainer

step = Trainer.train_step

def mortal(self, batch):
    if self.step == 25 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch)

Trainer.train_step = mortal
main(prog_name="dacn")
"""
"""The program, one of whose processes is killed after a checkpoint and the end of an epoch."""


def torchrun(
    folder: Path, *options: str, program: tuple[str, ...] = ("-m", "dacn")
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    command += [*program, "train", "shared.yaml", "--device", "cpu", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_whole_run_by_two_processes(tmp_path: Path) -> None:
    (tmp_path / "shared.yaml").write_text(f"{RECIPE}data: {made_up.archives(tmp_path)}\n")
    ran = torchrun(tmp_path, "--out", "two")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("The run is in two") == 1, "one process speaks"
    train_recipe(load_recipe(tmp_path / "shared.yaml"), out=tmp_path / "one", device="cpu")
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert [row["step"] for row in two] == [1, 2, 3, 4]
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "loss/source", "loss/target", "kept", "threshold", "p_source", "p_target"):
            assert b[name] == pytest.approx(a[name], abs=1e-4), name
    assert sorted(path.name for path in (tmp_path / "two" / "checkpoints").iterdir()) == sorted(
        path.name for path in (tmp_path / "one" / "checkpoints").iterdir()
    )


@pytest.mark.slow
def test_two_processes_go_on_and_refuse_what_cannot_be_shared(tmp_path: Path) -> None:
    (tmp_path / "shared.yaml").write_text(f"{RECIPE}data: {made_up.archives(tmp_path)}\n")
    assert torchrun(tmp_path, "--out", "two").returncode == 0
    again = torchrun(tmp_path, "--out", "two", "--resume")
    assert again.returncode == 0, again.stderr
    odd = torchrun(tmp_path, "--out", "odd", "--set", "train.source_batch=9")
    assert odd.returncode != 0
    assert "train.source_batch: 9 images cannot be shared evenly by 2 process(es)" in odd.stderr
    assert not (tmp_path / "odd").exists()


@pytest.mark.slow
def test_a_killed_process_is_started_anew_and_ends_with_the_same_network(tmp_path: Path) -> None:
    recipe = RECIPE.replace("steps: 4, source_batch: 16", "steps: 40, source_batch: 64").replace(
        "every: 2,", "every: 10,"
    )
    (tmp_path / "shared.yaml").write_text(f"{recipe}data: {made_up.archives(tmp_path, 256)}\n")
    (tmp_path / "mortal.py").write_text(MORTAL)
    assert torchrun(tmp_path, "--out", "whole").returncode == 0
    ran = torchrun(tmp_path, "--out", "killed", program=("mortal.py",))
    assert ran.returncode == 0, ran.stderr
    assert "20 steps of 192" in ran.stdout, "after the restart"
    whole, killed = (
        torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True) for name in ("whole", "killed")
    )
    for name, tensor in whole["model"].items():
        assert torch.equal(killed["model"][name], tensor), name


def test_every_row_is_one_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are fewer rows than processes, such as at the end of an epoch."""
    monkeypatch.setattr(processes, "count", lambda: 3)
    for rows in range(8):
        shares = []
        for rank in range(3):
            monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
            shares.append(processes.own(torch.arange(rows)))
        assert sorted(torch.cat(shares).tolist()) == list(range(rows))


def test_alone_everything_is_trivial() -> None:
    x = torch.rand(3, 2, requires_grad=True)
    assert (processes.count(), processes.rank(), processes.is_first()) == (1, 0, True)
    assert processes.own(x) is processes.total(x) is processes.mean(x) is x
    assert processes.any_of(15) == 15
    torch.manual_seed(0)
    drawn = processes.uniform(2, 3, 4, dim=1, like=x)
    torch.manual_seed(0)
    assert torch.equal(drawn.flatten(0, 1), torch.rand_like(torch.empty(6, 4)))
    with distributed.joined(torch.device("cpu")) as device:
        assert device == torch.device("cpu")
    model = build_model(ModelConfig(norm="bn"), 2, 2)
    layers = [type(layer) for layer in model.modules()]
    assert [type(layer) for layer in share_statistics(model, device).modules()] == layers


def test_uneven_shares_are_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"train\.source_batch: 9 images cannot be shared evenly by 1 process\(es\) of 4"
    ):
        distributed.require_even_shares(TrainConfig(source_batch=9, micro_batches=4))
    distributed.require_even_shares(TrainConfig(source_batch=8, micro_batches=4))


def test_torchrun_says_when_processes_were_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not distributed.restarted()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert distributed.restarted()
    assert distributed.is_first_rank()
    monkeypatch.setenv("RANK", "1")
    assert not distributed.is_first_rank()


def test_the_starters_answer_to_ctrl_c_is_no_second_wish() -> None:
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: arrived.append(number))
    try:
        with StopRequest(shared=True) as stop:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            assert (stop.signal, arrived) == (signal.SIGTERM, [])
            signal.raise_signal(signal.SIGTERM)
            assert arrived == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
