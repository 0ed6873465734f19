"""Shows the progress of several runs: live in a terminal, else a line for each event and each quarter of a run."""

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from dacn.compare.grid import Cell
from dacn.trainer.screen import print_text, shows_live


class Display:
    """Told what happens to the cells.

    Args:
        total: cells of the grid.
        done: of these, finished before.
        steps: of all cells that are still to be trained, from their start.
        console: where to show it.
    """

    def __init__(self, *, total: int, done: int, steps: int, console: Console) -> None:
        self.total, self.done, self.console = total, done, console
        self.live = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
            BarColumn(bar_width=16),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            console=console,
            disable=not shows_live(console),
            expand=True,
        )
        self.all: TaskID = self.live.add_task(self._heading(), total=steps)
        self.tasks: dict[str, TaskID] = {}
        self.steps: dict[str, int] = {}
        if done:
            self._print(f"{done} of {total} runs are finished already")

    def started(self, cell: Cell) -> None:
        """A cell's process has started."""
        self.tasks[cell.name] = self.live.add_task(f"  {cell.name}", total=cell.recipe.train.total_steps)
        self.steps[cell.name] = 0
        self._print(f"{cell.name}: started")

    def progress(self, cell: Cell, step: int) -> None:
        """A cell has done so many steps."""
        before, steps = self.steps[cell.name], cell.recipe.train.total_steps
        if step <= before:
            return
        self.steps[cell.name] = step
        self.live.update(self.tasks[cell.name], completed=step)
        self.live.update(self.all, completed=sum(self.steps.values()))
        if 4 * step // steps > 4 * before // steps and step < steps and self.live.disable:
            self._print(f"{cell.name}: step {step:,} of {steps:,}")

    def finished(self, cell: Cell, seconds: float, folder: Path) -> None:
        """A cell has finished."""
        self.done += 1
        self.progress(cell, cell.recipe.train.total_steps)
        target = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["target"]["selected"]
        result = "no target labels" if target is None else f"target {target:.1f}"
        self._print(f"{cell.name}: finished in {seconds:.0f} s, {result} ({self.done} of {self.total})")
        self._end(cell)

    def failed(self, cell: Cell, why: str) -> None:
        """A cell has failed."""
        self._print(f"{cell.name}: failed, {why}")
        self._end(cell)

    def stopping(self, count: int) -> None:
        """All runs were asked to stop."""
        self._print(
            f"stopping: {count} {'run saves' if count == 1 else 'runs save'} what it has, once more Ctrl-C ends at once"
        )

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.live.stop()

    def _heading(self) -> str:
        return f"{self.done}/{self.total} runs"

    def _end(self, cell: Cell) -> None:
        self.live.update(self.all, description=self._heading())
        self.live.remove_task(self.tasks.pop(cell.name))

    def _print(self, text: str) -> None:
        print_text(self.console, text)
