"""Rows as a table: Markdown, CSV, LaTeX or JSON. A number that is absent is shown as ``-``."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from dacn.report.rows import SELECTED, Row, Spread
from dacn.report.significance import NOTE

HEADINGS = (
    *("", "source", "target last", "target selected", "target oracle", "vs. first"),
    *("seeds", "n", "time", "images/s"),
)
ACCURACIES = {
    "source": ("source", "selected"),
    "target_last": ("target", "last"),
    "target_selected": SELECTED,
    "target_oracle": ("target", "oracle"),
}
"""Columns of the machine-readable tables, and where a summary has them."""
COSTS = ("seconds", "images_per_second")
"""What a run took, by its keys in a summary: all of it, and its training without evaluations."""

_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line's end, \\, a bare one would start an option
}


def markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table, and a note on the comparison where there is one."""
    lines = [HEADINGS, ("---", *["---:"] * 5, "---", "---:", "---:", "---:"), *(_cells(row) for row in rows)]
    table = "\n".join(f"| {' | '.join(map(_escape_markdown, cells))} |" for cells in lines) + "\n"
    return f"{table}\n{_escape_markdown(NOTE)}\n" if _has_comparison(rows) else table


def latex(rows: Sequence[Row]) -> str:
    """Return a LaTeX tabular that needs no package, and a comment on the comparison where there is one."""
    body = [" & ".join(_in_latex(cell) for cell in cells) + r" \\" for cells in (HEADINGS, *map(_cells, rows))]
    note = [f"% {NOTE}"] if _has_comparison(rows) else []
    lines = [r"\begin{tabular}{lrrrrrlrrr}", r"\hline", body[0], r"\hline", *body[1:], r"\hline", r"\end{tabular}"]
    return "\n".join([*note, *lines]) + "\n"


def comma_separated(rows: Sequence[Row]) -> str:
    """Return CSV: mean and standard deviation in columns of their own, to the last digit; absent ones are ``-``."""
    names = ["row", *(f"{name}_{part}" for name in ACCURACIES for part in ("mean", "std"))]
    names += ["difference", "p", "pairs", "seeds", "n", "seconds", "images_per_second"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        cells: list[Any] = [row.name]
        for keys in ACCURACIES.values():
            spread = row.spread(*keys)
            cells += [None, None] if spread is None else [spread.mean, spread.std]
        difference = row.comparison
        cells += [None, None, None] if difference is None else [difference.difference, difference.p, difference.pairs]
        cells += [" ".join(map(str, row.seeds)), len(row.runs)]
        cells += [spread and spread.mean for spread in map(row.spread, COSTS)]
        writer.writerow("-" if cell is None else cell for cell in cells)
    return text.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    """Return JSON: every row's statistics and what each of its runs measured; absent ones are null."""
    return json.dumps({"rows": [_tree(row) for row in rows], "note": NOTE}, indent=2) + "\n"


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "md": markdown,
    "csv": comma_separated,
    "tex": latex,
    "json": as_json,
}
"""Format, which is the file's suffix too, to the function that writes it."""


def _tree(row: Row) -> dict[str, Any]:
    def statistics(spread: Spread | None) -> dict[str, Any] | None:
        return None if spread is None else spread._asdict()

    return {
        "name": row.name,
        "seeds": row.seeds,
        **{name: statistics(row.spread(*keys)) for name, keys in ACCURACIES.items()},
        **{name: statistics(row.spread(name)) for name in COSTS},
        "comparison": None if row.comparison is None else vars(row.comparison),
        "same_test_images": row.same_test,
        "runs": [
            {"folder": str(run.folder), "seed": run.seed, "selected_step": run.number("selected_step")}
            | {name: run.number(*keys) for name, keys in ACCURACIES.items()}
            | {name: run.number(name) for name in COSTS}
            for run in row.runs
        ],
    }


def _cells(row: Row) -> tuple[str, ...]:
    last, oracle = (row.spread("target", which) for which in ("last", "oracle"))
    return (
        row.name,
        percent(row.spread("source", "selected")),
        percent(last),
        percent(row.spread(*SELECTED), with_std=True),
        percent(oracle),
        against_first(row),
        " / ".join(map(str, row.seeds)),
        str(len(row.runs)),
        duration(row.spread("seconds")),
        "-" if (speed := row.spread("images_per_second")) is None else f"{speed.mean:.0f}",
    )


def percent(spread: Spread | None, with_std: bool = False) -> str:
    """Return a mean to one digit, with its standard deviation if asked to and if there is one.

    >>> percent(Spread(94.44, 1.96), with_std=True), percent(Spread(94.44, None), with_std=True), percent(None)
    ('94.4 ± 2.0', '94.4', '-')
    """
    if spread is None:
        return "-"
    return f"{spread.mean:.1f} ± {spread.std:.1f}" if with_std and spread.std is not None else f"{spread.mean:.1f}"


def against_first(row: Row) -> str:
    """Return the difference to the first row, its mark of significance, p and the pairs; or why there is none."""
    comparison = row.comparison
    if comparison is None:
        return "-" if row.same_test else "other test images"
    p = "" if comparison.p is None else f"p = {comparison.p:.2f}, " if comparison.p >= 0.01 else "p < 0.01, "
    pairs = "1 pair" if comparison.pairs == 1 else f"{comparison.pairs} pairs"
    return f"{comparison.difference:+.1f}{comparison.mark} ({p}{pairs})"


def duration(seconds: Spread | None) -> str:
    """Return a mean time in the unit that suits it.

    >>> duration(Spread(9.6, None)), duration(Spread(144, 3)), duration(Spread(9000, 1)), duration(None)
    ('10 s', '2.4 min', '2.5 h', '-')
    """
    if seconds is None:
        return "-"
    mean = seconds.mean
    return f"{mean:.0f} s" if mean < 100 else f"{mean / 60:.1f} min" if mean < 6000 else f"{mean / 3600:.1f} h"


def _has_comparison(rows: Sequence[Row]) -> bool:
    return any(row.comparison is not None or not row.same_test for row in rows)


def _escape_markdown(text: str) -> str:
    """Escape what Markdown would read as markup; an underscore inside a word is none."""
    return re.sub(r"[\\`*|<>\[\]~&#]|(?<!\w)_|_(?!\w)", lambda found: f"\\{found.group()}", text)


def _in_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return escaped.replace("±", r"$\pm$")
