"""Hands the runs of a comparison to Ray: on this machine, or on the cluster that ``RAY_ADDRESS`` names."""

import os
import signal
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dacn.compare.display import Display
from dacn.compare.grid import Cell
from dacn.compare.processes import failure, start, steps_done, stop
from dacn.errors import DacnError, Interrupted
from dacn.run.build import pick_device
from dacn.trainer.signals import StopRequest

_PAUSE = 0.5  # seconds between two looks at the runs


def require_ray() -> None:
    """Make sure that Ray is installed.

    Raises:
        DacnError: it is not; the message has the command that installs it.
    """
    if find_spec("ray") is None:
        raise DacnError("--engine ray: Ray is not installed here: pip install 'dacn[ray]'")


def train_on_ray(
    cells: Sequence[Cell], out: Path, *, threads: int, device: str, force: bool, display: Display
) -> dict[str, str]:
    """Train every cell as a task of Ray and return why some failed, by their names.

    Each is the process that `dacn.compare.processes.train_all` would start, so that what is left of a run goes on in
    the same way, by either engine. All machines must see ``out`` and the images under the same paths.

    Args:
        cells: what to train; a cell with a checkpoint goes on from it.
        out: folder of the comparison.
        threads: of each run, and the cores that Ray sets aside for it.
        device: ``auto``, ``cpu`` or ``cuda``; where it is a GPU here, Ray sets one aside for each run.
        force: overwrite the runs that are in the cells' folders.
        display: is told what happens.

    Raises:
        Interrupted: stopped; every run is saved.
    """
    import ray

    if mine := not ray.is_initialized():
        home = str(Path(__file__).parents[2])  # the very same dacn, wherever this process found it
        path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
        ray.init(runtime_env={"env_vars": {"PYTHONPATH": path}}, log_to_driver=False, include_dashboard=False)
    gpus = 1 if pick_device(device).type == "cuda" else 0
    task: Any = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(run_cell)
    began, failed = time.monotonic(), dict[str, str]()
    waiting: dict[Any, Cell] = {}
    try:
        for cell in cells:
            waiting[task.remote(cell, out.absolute(), threads, device, force)] = cell
            display.started(cell)
        with StopRequest() as request:
            while waiting and request.signal is None:
                done, _ = ray.wait([*waiting], num_returns=1, timeout=_PAUSE)
                for cell in waiting.values():
                    display.progress(cell, steps_done(out / cell.name))
                for reference in done:
                    cell = waiting.pop(reference)
                    if why := _outcome(ray, reference):
                        failed[cell.name] = why
                        display.failed(cell, why)
                    else:
                        display.finished(cell, time.monotonic() - began, out / cell.name)
            if request.signal is not None:
                display.stopping(len(waiting))
                for reference in waiting:
                    ray.cancel(reference)  # a KeyboardInterrupt there
                ray.wait([*waiting], num_returns=len(waiting), timeout=60)
                raise Interrupted(
                    request.signal,
                    f"stopped; runs that were at work save their state ({out}), the same command goes on",
                )
    finally:
        if mine:
            ray.shutdown()
    return failed


def run_cell(cell: Cell, out: Path, threads: int, device: str, force: bool) -> str:
    """Train one cell in a process of its own, and return why it failed; nothing if it did not."""
    run = start(cell, out, threads, device, force)
    try:
        run.process.wait()
    except KeyboardInterrupt:  # Ray was told to cancel it
        stop([run], signal.SIGTERM)
    return failure(run)


def _outcome(ray: Any, reference: Any) -> str:
    try:
        return str(ray.get(reference))
    except Exception as error:  # of Ray's many: a worker that died, a machine that is gone
        return f"Ray: {str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__}"
