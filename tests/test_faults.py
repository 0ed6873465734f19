"""Real training processes that are killed, stopped, damaged or doubled: the run goes on as if nothing had happened."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

STEPS = 60
RECIPE = f"""
data: {{pair: digits, image_size: 16}}
augment: {{appearance: true}}
model: {{backbone: {{name: small_cnn, width: 4}}, input_norm: acn, norm: acn}}
train: {{steps: {STEPS}, source_batch: 8, target_ratio: 2, log_every: 3}}
optimizer: {{name: adamw, lr: 1e-2}}
evaluate: {{every: 4}}
"""  # evaluated, selected and saved so often that many moments lie inside the writing of a file


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    (folder / "tiny.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "dacn", "train", str(folder / "tiny.yaml"), "--device", "cpu", *options]
    threads = {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        ["env", *(f"{k}={v}" for k, v in threads.items()), *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(folder: Path, out: Path, *options: str) -> str:
    process = start(folder, "--out", str(out), *options)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


def wait_until_training(process: subprocess.Popen[str], out: Path, step: int = 1) -> None:
    """Wait until a run has logged that step."""
    deadline = time.monotonic() + 120
    metrics = out / "metrics.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        rows = metrics.read_text().splitlines() if metrics.exists() else []
        if any(f'"step": {k}' in row for row in rows for k in range(step, STEPS + 1)):
            return
        time.sleep(0.01)
    pytest.fail(f"the run logged no step {step}: {process.communicate()[0]}")


def assert_same_run(a: Path, b: Path) -> None:
    for name in ("last", "selected"):
        x, y = (torch.load(out / "checkpoints" / f"{name}.pt", weights_only=True) for out in (a, b))
        assert x["step"] == y["step"]
        torch.testing.assert_close(x["model"], y["model"], rtol=0, atol=0)
    summaries: list[dict[str, Any]] = [json.loads((out / "summary.json").read_text()) for out in (a, b)]
    for summary in summaries:
        del summary["seconds"], summary["images_per_second"]
    assert summaries[0] == summaries[1]
    steps = [[json.loads(row)["step"] for row in (out / "metrics.jsonl").read_text().splitlines()] for out in (a, b)]
    assert steps[0] == steps[1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder, folder / "run")
    return folder / "run"


def kill_and_resume(folder: Path, undisturbed: Path, kills: int, seed: int) -> list[int]:
    """Kill a run that often, each time at a random moment after it began to work, and let it end; return the codes."""
    draw = random.Random(seed)
    out = folder / "run"
    codes = []
    for _ in range(kills):
        process = start(folder, "--out", str(out), "--resume")
        lock = out / ".lock"
        deadline = time.monotonic() + 120
        before = lock.stat().st_mtime_ns if lock.exists() else 0
        while process.poll() is None and time.monotonic() < deadline:  # taking the lock is the first thing it does
            if lock.exists() and lock.stat().st_mtime_ns != before:
                break
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        codes.append(process.returncode)
    finish(folder, out, "--resume")
    assert_same_run(undisturbed, out)
    return codes


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, undisturbed: Path) -> None:
    assert kill_and_resume(tmp_path, undisturbed, kills=1, seed=0) == [-signal.SIGKILL]


@pytest.mark.slow
def test_fifty_kills_at_random_moments(tmp_path: Path, undisturbed: Path) -> None:
    codes = []
    for seed in range(10):  # ten runs, each killed five times: one run would soon be finished
        folder = tmp_path / str(seed)
        folder.mkdir()
        codes += kill_and_resume(folder, undisturbed, kills=5, seed=seed)
    assert len(codes) == 50
    assert codes.count(-signal.SIGKILL) >= 40  # the rest had finished before they were killed


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_stopped_run_saves_and_says_how_to_go_on(tmp_path: Path, undisturbed: Path, number: int, code: int) -> None:
    out = tmp_path / "run"
    process = start(tmp_path, "--out", str(out))
    wait_until_training(process, out)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == code, printed
    assert "go on with --resume" in printed
    assert "Traceback" not in printed
    finish(tmp_path, out, "--resume")
    assert_same_run(undisturbed, out)


@pytest.mark.slow
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, undisturbed: Path) -> None:
    out = tmp_path / "run"
    process = start(tmp_path, "--out", str(out))
    wait_until_training(process, out, step=12)
    process.kill()
    process.communicate()
    last = out / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-2000])
    printed = finish(tmp_path, out, "--resume")
    assert "last.pt: damaged" in printed
    assert "going on from the one before, last.previous.pt" in printed
    summary = json.loads((out / "summary.json").read_text())
    assert len(summary["warnings"]) == 1
    summary["warnings"] = []
    (out / "summary.json").write_text(json.dumps(summary))
    assert_same_run(undisturbed, out)


def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = start(tmp_path, "--out", str(out))
    wait_until_training(first, out)
    first.send_signal(signal.SIGSTOP)
    second = start(tmp_path, "--out", str(out), "--force")
    printed, _ = second.communicate(timeout=120)
    first.kill()
    first.communicate()
    assert second.returncode == 2, printed
    assert f"{out}: another dacn is writing to this folder" in printed
    assert (out / "recipe.yaml").is_file()  # --force removed nothing
