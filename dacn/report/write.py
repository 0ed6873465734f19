"""Collects the rows of finished runs, and writes tables, chart and page; each file whole or not at all."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dacn.errors import DacnError, DataError
from dacn.evaluation.figures import save
from dacn.report.chart import bar_chart
from dacn.report.page import page
from dacn.report.rows import Row, make_rows
from dacn.report.runs import Run, find_runs
from dacn.report.table import FORMATS


def gather(paths: Iterable[Path]) -> tuple[list[Row], list[str]]:
    """Return the rows that the finished runs in ``paths`` make, and in words what was left out or is doubtful.

    Raises:
        DataError: there is no finished run, or a run is damaged.
    """
    finished, unfinished = find_runs(paths)
    if not finished:
        raise DataError(
            f"{', '.join(map(str, unfinished))}: not finished; `dacn train RECIPE --out DIR --resume` goes on"
        )
    rows, repeated = make_rows(finished)
    left_out = [f"Left out, not finished: {folder}" for folder in unfinished]
    left_out += [f"Left out, the recipe, images and seed of another run: {run.folder}" for run in repeated]
    return rows, [*left_out, *_doubts(finished)]


def _doubts(runs: Sequence[Run]) -> list[str]:
    """Return what is to be said of runs that do not tell which images they saw."""
    folders = [str(run.folder) for run in runs if run.data is None]
    if not folders:
        return []
    some = ", ".join(folders[:3]) + (f" and {len(folders) - 3} more" if len(folders) > 3 else "")
    return [
        f"Not known which images they saw, an older dacn wrote them: {some}. Among each other they are told apart by "
        "where their recipes look for images; with runs that do know they are not compared"
    ]


def write_page(out: Path, rows: Sequence[Row], left_out: Sequence[str] = ()) -> None:
    """Write the page to the file ``out``.

    Raises:
        DacnError: it cannot be written.
    """
    write_file(out, page(rows, left_out))


def write_tables(folder: Path, name: str, rows: Sequence[Row]) -> list[Path]:
    """Write ``folder/name`` in every format, and the bar chart; return the files."""
    files = [folder / f"{name}.{suffix}" for suffix in FORMATS]
    for file, table in zip(files, FORMATS.values(), strict=True):
        write_file(file, table(rows))
    chart = folder / f"{name}.png"
    save(bar_chart(rows), chart)
    return [*files, chart]


def write_file(file: Path, text: str) -> None:
    """Write a text file, to a temporary name first; folders are made.

    Raises:
        DacnError: it cannot be written.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DacnError(f"{file}: cannot be written ({error.strerror}); choose another --out") from error
