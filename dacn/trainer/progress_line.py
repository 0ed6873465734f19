"""The console: a line that tells how far training is, and whatever is printed above it."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from dacn.trainer.measured import Values, shown_name
from dacn.trainer.screen import fitting, print_text, shows_live

BAR = 16  # characters


class ProgressLine:
    """Shows step, loss parts, kept share, images a second and time left.

    In a terminal this is one live line; elsewhere each log prints a plain one.

    Args:
        console: where to show it.
        steps: the actual number of training steps.
        start: steps already done.
    """

    def __init__(self, console: Console, steps: int, start: int = 0) -> None:
        self.console, self.steps = console, steps
        self.first: tuple[int, float] | None = None  # the first step told, and when: compiling comes before it
        self.live = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=BAR),
            TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True)),
            console=console,
            disable=not shows_live(console),
        )
        self.task = self.live.add_task("", total=steps, completed=start, text="")
        self.parts: list[str] = []
        self.live.start()

    def log(self, step: int, values: Values, text: str | None = None) -> None:
        """Show a step's values; an evaluation has them printed, or ``text`` in their place."""
        if not _progress_parts(values):  # an evaluation: worth keeping on the screen
            scalars = {name: value for name, value in values.items() if not isinstance(value, Sequence)}
            start = f"step {step}/{self.steps}  "
            text = text or "  ".join(f"{shown_name(name)} {value:.4g}" for name, value in scalars.items())
            indent = 2 if self.console.is_terminal else len(start)
            self.print(start + text.replace("\n", "\n" + " " * indent))
            return
        self.progress(step, values)
        if self.live.disable:
            self.print("  ".join([f"step {step}/{self.steps}", *self.parts, *self._time_left(step)]))

    def progress(self, step: int, values: Values) -> None:
        """Move the live line, and nothing else."""
        self.first = self.first or (step, time.monotonic())
        self.parts = _progress_parts(values) or self.parts
        if not self.live.disable:
            self.live.update(self.task, completed=step, text="  ".join(self._shown(step)))

    def _shown(self, step: int) -> list[str]:
        """Return what stands beside the bar: the time left, and the numbers that the screen has room for."""
        left = self._time_left(step)
        room = self.console.width - len(f"step {self.steps}/{self.steps}") - BAR - 3 - len("  ".join(left))
        order = sorted(self.parts, key=lambda part: part.startswith("loss/"))  # the whole loss before its terms
        return [*left, *fitting(order, room - 2 * bool(left))]

    def print(self, text: str) -> None:
        """Print a text above the live line, folded where a terminal is narrower."""
        print_text(self.console, text)

    def close(self) -> None:
        """Leave the live line as it stands."""
        if not self.live.disable:  # older versions of rich print an empty line all the same
            self.live.stop()

    def _time_left(self, step: int) -> list[str]:
        """Return the time left at the rate since the first step told; nothing before there is a rate."""
        assert self.first is not None
        first_step, first_time = self.first
        if step <= first_step:
            return []
        seconds = (time.monotonic() - first_time) / (step - first_step) * (self.steps - step)
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return [f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"]


def _progress_parts(values: Values) -> list[str]:
    names = [name for name in values if name in ("loss", "kept") or name.startswith("loss/")]
    parts = [f"{name} {values[name]:.4g}" for name in names]
    if parts and "images_per_second" in values:
        parts.append(f"{values['images_per_second']:.0f} images/s")
    return parts
