"""Trains runs in separate processes, several at a time; the failure of one does not affect the others."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dacn.compare.display import Display
from dacn.compare.grid import Cell
from dacn.errors import Interrupted
from dacn.report.write import write_file
from dacn.trainer.signals import StopRequest

LOG = "train.log"
"""What a run printed, in its folder."""

_PAUSE = 0.2  # seconds between two looks at the processes
_TAIL = 8192  # bytes of metrics.jsonl that surely hold a whole line


@dataclass
class _Running:
    cell: Cell
    folder: Path
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)


def train_all(
    cells: Sequence[Cell], out: Path, *, jobs: int, threads: int, device: str, force: bool, display: Display
) -> dict[str, str]:
    """Train every cell and return why some failed, by their names.

    Ctrl-C and SIGTERM stop all runs after they have saved; a second one stops them at once.

    Args:
        cells: what to train, in this order; a cell with a checkpoint goes on from it.
        out: folder of the comparison.
        jobs: processes at a time.
        threads: of each process.
        device: ``auto``, ``cpu`` or ``cuda``.
        force: overwrite the runs that are in the cells' folders.
        display: is told what happens.

    Raises:
        Interrupted: stopped; every run is saved.
    """
    waiting, running, failed = list(cells), list[_Running](), dict[str, str]()
    with StopRequest() as request:
        try:
            while (waiting or running) and request.signal is None:
                while waiting and len(running) < jobs:
                    running.append(start(waiting.pop(0), out, threads, device, force))
                    display.started(running[-1].cell)
                time.sleep(_PAUSE)
                for run in running:
                    display.progress(run.cell, steps_done(run.folder))
                for run in [run for run in running if run.process.poll() is not None]:
                    running.remove(run)
                    seconds = time.monotonic() - run.started
                    if why := failure(run):
                        failed[run.cell.name] = why
                        display.failed(run.cell, why)
                    else:
                        display.finished(run.cell, seconds, run.folder)
            if request.signal is not None:
                display.stopping(len(running))
                stop(running, signal.SIGTERM)
                raise Interrupted(
                    request.signal,
                    f"stopped; every run that was at work has saved its state ({out}), and the same command goes on",
                )
        finally:
            stop(running, signal.SIGKILL)
    return failed


def start(cell: Cell, out: Path, threads: int, device: str, force: bool) -> _Running:
    """Start a run as its own command line would."""
    folder = out / cell.name
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.yaml"
    write_file(recipe, cell.recipe.to_yaml())
    command = [sys.executable, "-m", "dacn", "train", str(recipe), "--out", str(folder), "--device", device]
    home = str(Path(__file__).parents[2])  # the very same dacn, wherever this process found it
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with (folder / LOG).open("wb" if force else "ab") as log:
        # A terminal sends Ctrl-C to the whole group of processes. The runs must not see it, for this process hands it
        # on once, as SIGTERM, and a run that is asked twice stops without saving. A blocked signal stays so in a child.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            process = subprocess.Popen(
                [*command, "--force" if force else "--resume"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return _Running(cell, folder, process)


def stop(running: Sequence[_Running], number: int) -> None:
    """Send a signal to all runs and wait until they have ended."""
    for run in running:
        run.process.send_signal(number)
    for run in running:
        run.process.wait()


def failure(run: _Running) -> str:
    """Return why a process that has ended failed; nothing if it did not."""
    code = run.process.returncode
    if code == 0 and (run.folder / "summary.json").is_file():
        return ""
    lines = (run.folder / LOG).read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{ended}: {last.removeprefix('Error: ')}"


def steps_done(folder: Path) -> int:
    """Return the step of the last whole line of a run's metrics."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            row: Mapping[str, int] = json.loads(line)
            return int(row["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0
