"""How far long work is: a live line in a terminal, else a plain line each tenth. On standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dacn.trainer.screen import shows_live


@contextmanager
def progress_line(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is told how many of how many are done, for example ``told(40, 200)``.

    Args:
        what: the things that are counted, such as "images".
    """
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), MofNCompleteColumn(), TimeRemainingColumn())
    live = Progress(*columns, console=console, disable=not shows_live(console), transient=True)
    task = live.add_task(what, total=None)
    tenths = 0

    def report_progress(done: int, total: int) -> None:
        nonlocal tenths
        live.update(task, completed=done, total=total)
        if live.disable and 10 * done // total > tenths:
            tenths = 10 * done // total
            console.print(f"{done:,} of {total:,} {what}")

    with live:
        yield report_progress
