"""Comparisons in real processes: killed, stopped, failing, gone on with."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import made_up

RECIPE = """
model: {backbone: {name: small_cnn, width: 4}, input_norm: none, norm: none}
algorithm: source_only
augment: {operations: 0, cutout: 0}
train: {steps: 40, source_batch: 8, target_ratio: 1, log_every: 2}
optimizer: {name: sgd, lr: 1e-2}
evaluate: {every: 10, figures: false}
"""


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a comparison as the leader of a process group of its own, as a shell does."""
    recipe = folder / "tiny.yaml"
    if not recipe.exists():
        recipe.write_text(f"{RECIPE}data: {made_up.archives(folder)}\n")
    home = str(Path(__file__).parents[2])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": home}
    command = [sys.executable, "-m", "dacn", "compare", "tiny.yaml", "--out", "out", "--device", "cpu", *options]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_for(process: subprocess.Popen[str], folder: Path, pattern: str, text: str = "") -> None:
    """Wait until a file that matches is there and holds ``text``."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if any(text in file.read_text() for file in folder.glob(pattern)):
            return
        time.sleep(0.02)
    pytest.fail(f"no {pattern} with {text!r}: {process.communicate()}")


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Return when each file of a run was written, and which one it is."""
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.stat().st_ino)
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.slow
def test_killed_half_way_and_started_again_nothing_finished_is_done_again(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    process = start(tmp_path, "--seeds", "0,1")
    started.append(process)
    out = tmp_path / "out"
    wait_for(process, out, "seed1/metrics.jsonl", '"step": 10')
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert (out / "seed0" / "summary.json").exists()
    assert not (out / "seed1" / "summary.json").exists()
    finished = written(out / "seed0")

    again = start(tmp_path, "--seeds", "0,1", "--json")
    started.append(again)
    printed, progress = again.communicate(timeout=400)
    assert again.returncode == 0, progress
    assert written(out / "seed0") == finished
    lines = progress.splitlines()
    assert lines[:2] == ["1 of 2 runs are finished already", "seed1: started"]
    assert lines[-2].startswith("seed1: finished in ")
    assert lines[-1] == "The comparison is in out"

    (row,) = json.loads(printed)["rows"]
    assert [run["seed"] for run in row["runs"]] == [0, 1]
    summary = json.loads((out / "seed1" / "summary.json").read_text())
    assert row["runs"][1]["target_selected"] == summary["target"]["selected"]
    assert json.loads((out / "comparison.json").read_text()) == json.loads(printed)
    with (out / "comparison.csv").open() as file:
        assert [line["seeds"] for line in csv.DictReader(file)] == ["0 1"]
    assert {file.suffix for file in out.glob("comparison.*")} == {".md", ".csv", ".tex", ".json", ".png"}


@pytest.mark.slow
def test_a_run_that_fails_takes_no_other_with_it(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    process = start(tmp_path, "--vary", "optimizer.lr=100,0.01", "--jobs", "2")  # the first fails in a few steps
    started.append(process)
    printed, progress = process.communicate(timeout=400)
    assert process.returncode == 1, progress
    assert "Traceback" not in progress
    assert "Error: 1 run failed; the same command tries again, and what a run printed is in its train.log" in progress
    assert "  out/lr=100/seed0: exit code 1: loss" in progress
    assert printed.startswith("|  | source |")
    assert "is not finite" in (tmp_path / "out" / "lr=100" / "seed0" / "train.log").read_text()


@pytest.mark.slow
def test_ctrl_c_saves_all_and_the_same_command_goes_on(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    options = ("--seeds", "0,1", "--jobs", "2", "--set", "train.steps=4000", "--set", "evaluate.every=2000")
    process = start(tmp_path, *options)
    started.append(process)
    out = tmp_path / "out"
    for seed in (0, 1):
        wait_for(process, out, f"seed{seed}/metrics.jsonl", '"step": 10')
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, progress = process.communicate(timeout=120)
    assert process.returncode == 130, progress
    assert "stopped; every run that was at work has saved its state (out), and the same command goes on" in progress
    for seed in (0, 1):
        assert (out / f"seed{seed}" / "checkpoints" / "last.pt").exists()
        log = out / f"seed{seed}" / "train.log"
        assert "go on with --resume" in log.read_text()
        log.unlink()
    again = start(tmp_path, *options)
    started.append(again)
    for seed in (0, 1):
        wait_for(again, out, f"seed{seed}/train.log", "images/s")  # it trains
    again.send_signal(signal.SIGTERM)  # to the comparison alone
    again.communicate(timeout=120)
    assert again.returncode == 143


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    process = start(tmp_path, "--seeds", "0")
    started.append(process)
    wait_for(process, tmp_path / "out", "seed0/recipe.yaml")
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    _, progress = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in progress
