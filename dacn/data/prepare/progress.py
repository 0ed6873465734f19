"""How far a long piece of work is: a bar in a terminal, plain lines elsewhere."""

from collections.abc import Collection, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

_T = TypeVar("_T")
_LINES = 5


def progress(items: Collection[_T], what: str) -> Iterator[_T]:
    """Yield the items and show on the standard error how many are done.

    Args:
        items: of a known number.
        what: is being done to them, for example ``"mnist_m/train.npz"``.
    """
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        yield from track(items, what, console=console)
        return
    every = max(1, len(items) // _LINES)
    for done, item in enumerate(items, start=1):
        yield item
        if done % every == 0 or done == len(items):
            console.print(f"{what}: {100 * done // len(items)} %", soft_wrap=True)
