"""Runs a whole comparison: makes the cells, trains them in processes, writes the tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from rich.console import Console

from dacn.compare.cells import check, unfinished
from dacn.compare.display import Display
from dacn.compare.grid import Cell
from dacn.compare.processes import LOG, train_all
from dacn.compare.ray_engine import require_ray, train_on_ray
from dacn.compare.resolve import RESOLVED, resolve, to_json
from dacn.recipe.paths import absolute
from dacn.report.rows import Row, make_rows
from dacn.report.runs import GRID, read_run
from dacn.report.write import write_file, write_tables
from dacn.run.build import pick_device
from dacn.run.folder import locked

NAME = "comparison"
"""Stem of the files that a comparison writes."""


class Result(NamedTuple):
    """The results of a comparison."""

    rows: list[Row]  # one for each combination of values, in the grid's order, without the runs that failed
    failed: dict[str, str]  # name of each cell that failed, and why


def compare(
    cells: Sequence[Cell],
    out: Path,
    *,
    jobs: int = 1,
    device: str = "auto",
    force: bool = False,
    console: Console | None = None,
    engine: Literal["local", "ray"] = "local",
) -> Result:
    """Train the cells that are not finished and return what all of them measured.

    Every cell is checked before the first one starts. ``out`` receives a folder for each run and the table as
    ``comparison.md``, ``.csv``, ``.tex``, ``.json`` and ``.png``.

    Args:
        cells: the grid.
        out: folder of the comparison; what it holds of these cells is not done again.
        jobs: runs at a time; they share the threads out.
        device: ``auto``, ``cpu`` or ``cuda``.
        force: train every cell anew.
        console: where to show progress; by default the standard error output.
        engine: ``local`` processes, or ``ray``, which may have a cluster.

    Raises:
        DacnError: a mistake, before anything is trained or written.
        Interrupted: stopped; the same call goes on.
    """
    pick_device(device)
    if engine == "ray":
        require_ray()
    threads = max(1, torch.get_num_threads() // jobs)
    cells = [replace(cell, recipe=absolute(cell.recipe)) for cell in cells]
    cells = resolve(cells, out, device=device, threads=threads, force=force)
    left = unfinished(cells, out, force=force)
    check(left, finished=[cell for cell in cells if cell not in left], out=out)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        left = unfinished(cells, out, force=force)  # again: another process may have finished some meanwhile
        write_file(
            out / GRID, json.dumps({"cells": [cell.name for cell in cells], RESOLVED: to_json(cells)}, indent=2) + "\n"
        )
        steps = sum(cell.recipe.train.total_steps for cell in left)
        display = Display(
            total=len(cells), done=len(cells) - len(left), steps=steps, console=console or Console(stderr=True)
        )
        with display:
            how: Any = {"threads": threads, "device": device, "force": force, "display": display}
            failed = train_on_ray(left, out, **how) if engine == "ray" else train_all(left, out, jobs=jobs, **how)
        runs = [read_run(out / cell.name) for cell in cells if cell.name not in failed]
        rows, _ = make_rows(runs)
        if rows:
            write_tables(out, NAME, rows)
    return Result(rows, failed)


def describe_failures(failed: Mapping[str, str], out: Path) -> str:
    """Return which runs failed and why, and how to go on."""
    count = "1 run" if len(failed) == 1 else f"{len(failed)} runs"
    lines = [f"{count} failed; the same command tries again, and what a run printed is in its {LOG}"]
    return "\n".join([*lines, *(f"  {out / name}: {why}" for name, why in failed.items())])
