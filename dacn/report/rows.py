"""Runs of one recipe over several seeds, as one row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

from dacn.report.names import distinct_names
from dacn.report.runs import Run
from dacn.report.significance import Comparison, compare_paired

SELECTED = ("target", "selected")
"""The number that rows are compared by."""


class Spread(NamedTuple):
    """Mean and sample standard deviation of what several seeds measured."""

    mean: float
    std: float | None  # None with fewer than two


def spread_of(numbers: Iterable[float | None]) -> Spread | None:
    """Return mean and spread of the numbers that are there; None where none is.

    >>> spread_of([1.0, None, 3.0])
    Spread(mean=2.0, std=1.4142135623730951)
    """
    known = [number for number in numbers if number is not None]
    return Spread(fmean(known), stdev(known) if len(known) > 1 else None) if known else None


@dataclass(frozen=True)
class Row:
    """Runs of the same recipe on the same images, each with a seed of its own.

    Args:
        name: by which the row is told from the others.
        runs: by seed.
        comparison: with the first row; None for the first row itself, where no seed has both, or where the two were
            measured on different test images.
        same_test: whether it was measured on the first row's test images.
    """

    name: str
    runs: tuple[Run, ...]
    comparison: Comparison | None = None
    same_test: bool = True

    @property
    def seeds(self) -> list[int]:
        """The runs' seeds."""
        return [run.seed for run in self.runs]

    def spread(self, *keys: str) -> Spread | None:
        """Return mean and spread of a number of the summaries by its path of keys; None where no run has it."""
        return spread_of(run.number(*keys) for run in self.runs)

    def by_seed(self, *keys: str) -> dict[int, float]:
        """Return a number of the summaries by seed, of those runs that have it."""
        return {run.seed: value for run in self.runs if (value := run.number(*keys)) is not None}


def make_rows(runs: Sequence[Run]) -> tuple[list[Row], list[Run]]:
    """Return one row for each recipe and images, whatever the seed, in the order of ``runs``, and runs that repeat one.

    A second run of the same recipe, images and seed is no second measurement, so it is left out.
    """
    groups: list[dict[int, Run]] = []
    repeated = []
    for run in runs:
        group = next((g for g in groups if next(iter(g.values())).row_key == run.row_key), None)
        if group is None:
            groups.append({run.seed: run})
        elif run.seed in group:
            repeated.append(run)
        else:
            group[run.seed] = run
    members = [tuple(group[seed] for seed in sorted(group)) for group in groups]
    names = distinct_names([own[0] for own in members])
    rows = [Row(name, own) for name, own in zip(names, members, strict=True)]
    return _compared(rows), repeated


def _compared(rows: list[Row]) -> list[Row]:
    """Return the rows, all but the first compared with it."""
    base = rows[0].by_seed(*SELECTED) if rows else {}
    compared = rows[:1]
    for row in rows[1:]:
        same_test = row.runs[0].measured_on == rows[0].runs[0].measured_on
        comparison = compare_paired(row.by_seed(*SELECTED), base) if same_test else None
        compared.append(Row(row.name, row.runs, comparison, same_test))
    return compared
