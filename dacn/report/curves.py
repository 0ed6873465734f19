"""Training curves of each row's runs, over their steps, as numbers for the page to draw."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from dacn.report.rows import Row
from dacn.report.runs import Run

Series = dict[int, float]
"""Value by step."""
MOST_POINTS = 200
"""Of a curve on the page; longer ones are thinned out."""

PANELS: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "Target accuracy, % (labels only used to report)": lambda values: values.get(
        "accuracy/target_data/target_context", values.get("accuracy/target_data/unknown_context")
    ),
    "Source accuracy, %": lambda values: values.get(
        "accuracy/source_data/source_context", values.get("accuracy/source_data/unknown_context")
    ),
    "Loss": lambda values: values.get("loss"),
    "Mutual information of target predictions (no labels)": lambda values: values.get("label_free/mutual_information"),
}


def curve_panels(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return each panel's title and series: a row's name and its mean over the seeds, ``[step, value]`` each.

    A panel of which no run logged anything is left out.
    """
    logged = [[_lines(run) for run in row.runs] for row in rows]
    panels = []
    for title, of in PANELS.items():
        series = [
            {"name": row.name, "points": _mean([_series(lines, of) for lines in runs])}
            for row, runs in zip(rows, logged, strict=True)
        ]
        if any(one["points"] for one in series):
            panels.append({"title": title, "series": series})
    return panels


def _mean(runs: list[Series]) -> list[list[float]]:
    """Return a row's mean at the steps that all of its runs logged, thinned out."""
    known = [series for series in runs if series]
    steps = sorted(set.intersection(*map(set, known))) if known else []
    every = math.ceil(len(steps) / MOST_POINTS) or 1
    kept = [step for index, step in enumerate(steps) if index % every == 0 or index == len(steps) - 1]
    return [[step, round(fmean(series[step] for series in known), 4)] for step in kept]


def _lines(run: Run) -> list[Mapping[str, Any]]:
    file = run.folder / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def _series(lines: Sequence[Mapping[str, Any]], of: Callable[[Mapping[str, Any]], float | None]) -> Series:
    values = ((int(line["step"]), of(line)) for line in lines)
    return {step: value for step, value in values if value is not None and math.isfinite(value)}
