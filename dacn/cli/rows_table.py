"""Rows of runs as a table in a terminal, of as many columns as it is wide enough for."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dacn.report.rows import SELECTED, Row
from dacn.report.significance import NOTE
from dacn.report.table import against_first, duration, percent

LEAST_NAME = 14  # characters of a row's name, at least
DROPPED = ("seeds", "time", "source", "last", "n", "oracle", "vs. first")
"""Columns in the order in which they give way."""
Columns = Mapping[str, Sequence[str]]


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """Print rows; what does not fit is left out whole, and said."""
    columns = _columns(rows)
    names = [row.name for row in rows]
    shown = fitting_columns(columns, console.width, min(LEAST_NAME, max(map(len, names))))
    table: Any = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("accuracy, %", overflow="fold")
    for heading in shown:
        table.add_column(heading, justify="right", no_wrap=True)
    for index, name in enumerate(names):
        table.add_row(escape(name), *(escape(columns[heading][index]) for heading in shown))
    console.print(table, highlight=False)
    left_out = [heading for heading in columns if heading not in shown]
    if left_out:
        console.print(f"left out on this screen: {', '.join(left_out)}; --format md has all", highlight=False)
    if "vs. first" in shown:
        console.print(escape(NOTE), highlight=False)


def fitting_columns(columns: Columns, width: int, name: int) -> list[str]:
    """Return the headings that fit beside a name of so many characters into ``width``, in their order."""
    shown = list(columns)
    for heading in DROPPED:
        widths = [max(len(part) for cell in (head, *columns[head]) for part in cell.split("\n")) + 2 for head in shown]
        if name + 2 + sum(widths) <= width:
            break
        if heading in shown:
            shown.remove(heading)
    return shown


def _columns(rows: Sequence[Row]) -> Columns:
    columns = {
        "source": [percent(row.spread("source", "selected")) for row in rows],
        "last": [percent(row.spread("target", "last")) for row in rows],
        "selected": [percent(row.spread(*SELECTED), with_std=True) for row in rows],
        "oracle": [percent(row.spread("target", "oracle")) for row in rows],
        "vs. first": [against_first(row).replace(" (", "\n(") for row in rows],
        "seeds": [" ".join(map(str, row.seeds)) for row in rows],
        "n": [str(len(row.runs)) for row in rows],
        "time": [duration(row.spread("seconds")) for row in rows],
    }
    if not any(row.comparison is not None or not row.same_test for row in rows):
        del columns["vs. first"]
    return columns
