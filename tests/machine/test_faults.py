"""Real training processes that are killed, stopped, damaged or doubled: the run goes on as if nothing had happened."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dacn.errors import RunError
from dacn.machine.faults import explained
from tests import made_up

STEPS = 60
RECIPE = f"""
augment: {{appearance: true}}
model: {{backbone: {{name: small_cnn, width: 4}}, input_norm: acn, norm: acn}}
train: {{steps: {STEPS}, source_batch: 8, target_ratio: 2, log_every: 3}}
optimizer: {{name: adamw, lr: 1e-2}}
evaluate: {{every: 4, figures: false}}
"""  # evaluated, selected and saved so often that many moments lie inside the writing of a file


def start(folder: Path, *options: str, **limits: Any) -> subprocess.Popen[str]:
    recipe = folder / "tiny.yaml"
    if not recipe.exists():
        recipe.write_text(f"{RECIPE}data: {made_up.archives(folder)}\n")
    command = [sys.executable, "-m", "dacn", "train", str(recipe), "--device", "cpu", *options]
    threads = {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        ["env", *(f"{k}={v}" for k, v in threads.items()), *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **limits,
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
        for timing in ("seconds", "training_seconds", "evaluation_seconds", "images_per_second"):
            del summary[timing]
    assert summaries[0] == summaries[1]
    steps = [[json.loads(row)["step"] for row in (out / "metrics.jsonl").read_text().splitlines()] for out in (a, b)]
    assert steps[0] == steps[1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder, folder / "run")
    return folder / "run"


def kill(folder: Path, out: Path, seconds: float) -> bool:
    """Start or resume a run and kill it so long after it began to work; return whether it was still at it."""
    environment = out / "environment.json"  # written first, and anew by every process
    before = environment.stat().st_ino if environment.exists() else 0
    process = start(folder, "--out", str(out), "--resume")
    while process.poll() is None and not (environment.exists() and environment.stat().st_ino != before):
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.communicate(timeout=60)
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, undisturbed: Path) -> None:
    assert kill(tmp_path, tmp_path / "run", seconds=0.3)
    finish(tmp_path, tmp_path / "run", "--resume")
    assert_same_run(undisturbed, tmp_path / "run")


@pytest.mark.slow
def test_fifty_kills_at_random_moments(tmp_path: Path, undisturbed: Path) -> None:
    draw = random.Random(0)
    kills, runs = 0, 0
    while kills < 50:
        out = tmp_path / f"run{runs}"
        while kills < 50 and kill(tmp_path, out, draw.uniform(0, 1)):
            kills += 1
        if not (out / "summary.json").exists():
            finish(tmp_path, out, "--resume")
        assert_same_run(undisturbed, out)
        runs += 1


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
def test_a_second_ctrl_c_leaves_at_once_and_harms_nothing(tmp_path: Path, undisturbed: Path) -> None:
    out = tmp_path / "run"
    for pause in (0.0, 0.01, 0.1):
        process = start(tmp_path, "--out", str(out), "--resume")
        wait_until_training(process, out)
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode in (130, -signal.SIGINT)
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


@pytest.mark.slow
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


def small_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # bytes: less than last.pt


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(tmp_path, "--out", str(out), preexec_fn=small_files_only)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 1, printed
    assert "Traceback" not in printed
    message = (
        f"Error: cannot write the run, files may not grow that large here ({out}); no checkpoint had been written yet"
    )
    assert message in printed
    assert not list(out.rglob("*.partial"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=350k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_run_goes_on_where_there_is_room(small_disk: Path, undisturbed: Path) -> None:
    folder, out = small_disk.parent, small_disk / "run"
    process = start(folder, "--out", str(out))
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 1, printed
    assert "Traceback" not in printed
    last = out / "checkpoints" / "last.pt"
    assert f"cannot write the run, the disk is full ({out}); {last} is whole, go on with --resume" in printed
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    finish(folder, out, "--resume")
    assert_same_run(undisturbed, out)


MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", MEMORY, ids=lambda error: type(error).__name__)
def test_running_out_of_memory_names_the_keys_to_lower(tmp_path: Path, error: Exception) -> None:
    with (
        pytest.raises(
            RunError, match=r"out of memory; raise train\.micro_batches, .*lower train\.source_batch .*no checkpoint"
        ),
        explained(tmp_path),
    ):
        raise error
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").touch()
    with pytest.raises(RunError, match=r"last\.pt is whole, go on with --resume") as kept, explained(tmp_path):
        raise error
    assert kept.value.exit_code == 1


def test_real_memory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="out of memory"), explained(tmp_path):
        torch.empty(2**58)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), FileNotFoundError(2, "gone"), KeyError("a bug")])
def test_other_errors_pass(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), explained(tmp_path):
        raise error


def test_a_folder_that_became_read_only_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"^/runs/a/x\.pt: cannot write the run, the disk is read-only"),
        explained(tmp_path),
    ):
        raise OSError(errno.EROFS, "Read-only file system", "/runs/a/x.pt")
