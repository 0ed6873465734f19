"""What fits on the screen: whether a line can live there, and texts folded to its width."""

import textwrap
from importlib.util import find_spec

from rich.console import Console


def shows_live(console: Console) -> bool:
    """Whether a line can be drawn anew in place: in a terminal, and in a notebook where ipywidgets is installed."""
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    return console.is_interactive


def print_text(console: Console, text: str) -> None:
    """Print a text; lines that are wider than a terminal are folded between words, elsewhere they stay as they are."""
    for line in text.split("\n"):
        for part in folded(line, console.width) if console.is_terminal else [line]:
            console.print(part, markup=False, highlight=False, soft_wrap=True)


def folded(line: str, width: int) -> list[str]:
    """Return a line in parts of up to ``width`` characters; further parts are set in by two more than the first.

    A word that is longer than a part, such as a path, stays whole, so that it can be copied.

    >>> folded("  a line of words", 10)
    ['  a line', '    of', '    words']
    """
    if len(line) <= width:
        return [line]
    margin = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line.strip(),
        width,
        initial_indent=margin,
        subsequent_indent=margin + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def fitting(parts: list[str], width: int, gap: int = 2) -> list[str]:
    """Return those of the first parts that fit beside each other into ``width`` characters.

    >>> fitting(["loss 0.8", "kept 0.3", "loss/source 0.75"], 20)
    ['loss 0.8', 'kept 0.3']
    """
    taken: list[str] = []
    for part in parts:
        if sum(map(len, taken)) + gap * len(taken) + len(part) > width:
            break
        taken.append(part)
    return taken
