"""Keep the published tables and the runs behind them the same.

``recipes/results/rows.yaml`` says what stands in the tables, ``recipes/results/runs.json`` holds every run's numbers.
Of the two are made the part of ``docs/results.md`` between ``<!-- results -->`` and ``<!-- end of results -->`` and the
charts in ``docs/pictures``; ``recipes/results/headline.yaml`` picks the numbers of the README's one table.

Example:
  dacn compare recipes/digits_dann.yaml --seeds 0,1,2
  python recipes/results/tables.py --check runs/     do the summary.json files in runs/ say what the tables say?
  python recipes/results/tables.py runs/             take their numbers over
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from dacn.errors import DacnError  # noqa: E402
from dacn.evaluation.figures import save  # noqa: E402
from dacn.recipe.recipe import Recipe, load_recipe, parse_recipe  # noqa: E402
from dacn.report.chart import bar_chart  # noqa: E402
from dacn.report.rows import Row as ChartRow  # noqa: E402
from dacn.report.rows import spread_of  # noqa: E402
from dacn.report.runs import Run, find_runs  # noqa: E402
from dacn.report.table import percent  # noqa: E402

RESULTS = ("<!-- results -->\n", "<!-- end of results -->\n")
HEADLINE = ("<!-- headline -->\n", "<!-- end of headline -->\n")
PLACES = {"root", "folder", "npz", "path", "pretrained"}  # keys that say where the same data and weights lie
NUMBERS = {
    "last": ("target", "last"),
    "selected": ("target", "selected"),
    "oracle": ("target", "oracle"),
    "source": ("source", "selected"),
}
ACCURACIES = (("target", "selected"), ("source", "source"))  # what a chart needs of a summary, and its name in a record
Row, Record = dict[str, Any], dict[str, Any]


def command_of(row: Row) -> str:
    """Return what follows ``dacn train`` and ``dacn compare``."""
    return " ".join([f"recipes/{row['recipe']}.yaml", *overrides(row.get("set", []))])


def overrides(sets: Sequence[str]) -> list[str]:
    """Return the options that set these keys."""
    return [f"--set '{each}'" if " " in each else f"--set {each}" for each in sets]


def identity(recipe: Recipe) -> Any:
    """Return what two runs of one row share: all but the seed, the name, where the data lie and whether it is drawn."""

    def without_places(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_places(part) for key, part in value.items() if key not in PLACES}
        return [without_places(part) for part in value] if isinstance(value, list) else value

    tree = recipe.model_dump(mode="json", exclude={"seed", "name"})
    (tree["data"] or {}).pop("download", None)
    tree["evaluate"].pop("figures")
    if recipe.data is not None:  # a run names the size that its recipe left open, which is that of named data sets
        tree["data"]["image_size"] = recipe.data.side
    return without_places(tree)


def record_of(run: Run, row: Row) -> Record:
    """Return what is kept of a run."""
    environment = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))
    numbers = {name: run.number(*keys) for name, keys in NUMBERS.items()}
    record = {
        "command": command_of(row),
        "seed": run.seed,
        **{name: None if number is None else round(number, 2) for name, number in numbers.items()},
        "matrix": {cell: None if score is None else round(score, 2) for cell, score in run.summary["matrix"].items()},
        "seconds": run.number("seconds"),
        "commit": environment.get("commit"),
        "started": environment.get("started"),
        "device": environment["device"],
        "threads": environment["threads"],
        "torch": environment["libraries"]["torch"],
    }
    contexts = run.summary.get("contexts", {})
    if "target" in contexts:
        record["contexts"] = {"kind": contexts["kind"], "leaks": contexts["leaks"], **contexts["target"]}
        record["updates_to"] = run.summary.get("updates_to", {})
    return record


def collect(rows: Iterable[Row], runs: Sequence[Run], recipes: Path) -> list[Record]:
    """Return the records of those runs that stand in the tables; ``recipes`` is the rows' folder."""
    of_run = [(identity(parse_recipe(run.recipe, str(run.folder))), run) for run in runs]
    found = []
    for row in rows:
        recipe = identity(load_recipe(recipes / f"{row['recipe']}.yaml", row.get("set", [])))
        found += [record_of(run, row) for theirs, run in of_run if theirs == recipe]
    return found


def adaptation_line(title: str, runs: Sequence[Record]) -> str:
    """Return a line of the table of pairs."""
    last, selected, oracle, source = (
        spread_of(run[name] for run in runs) for name in ("last", "selected", "oracle", "source")
    )
    seeds = " / ".join(f"{run['selected']:.1f}" for run in runs)
    others = (
        percent(spread_of(run["matrix"].get(f"target_data/{context}_context") for run in runs))
        for context in ("source", "unknown")
    )
    cells = (percent(last), f"**{percent(selected, with_std=True)}**", percent(oracle), seeds, *others, percent(source))
    return line([title, *cells, when(runs)])


def classification_line(title: str, runs: Sequence[Record]) -> str:
    """Return a line of the table of data sets: accuracy in three modes, and the updates that it took."""
    modes = [[run["contexts"][mode] for run in runs] for mode in ("known", "inferred", "unknown")]
    own = modes[1] if runs[0]["contexts"]["leaks"] else modes[0]  # what counts where a context is no part of the answer
    reached = [[run["updates_to"].get(goal) for run in runs] for goal in ("75", "80")]
    updates = ["-" if None in steps else f"{fmean(steps):,.0f}" for steps in reached]
    cells = f"**{percent(spread_of(own), with_std=True)}**", " / ".join(f"{number:.1f}" for number in own)
    return line([title, *cells, *(percent(spread_of(mode)) for mode in modes), *updates, when(runs)])


def when(runs: Sequence[Record]) -> str:
    """Return the commit and the day."""
    return ", ".join(sorted({f"{run['commit']} of {run['started'][:10]}" for run in runs}))


def line(cells: Iterable[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


ADAPTATION = (
    ("last", "selected", "oracle", "seeds", "wrong context", "unknown", "source", "measured at"),
    adaptation_line,
)
CLASSIFICATION = (
    ("accuracy", "seeds", "context known", "inferred", "unknown", "updates to 75", "to 80", "measured at"),
    classification_line,
)
KINDS = {"Classification": CLASSIFICATION, "Contexts on CIFAR-10, 1,000 steps": CLASSIFICATION}
"""Sections whose rows are not of an adaptation, to their headings and what makes a line."""


def picture(section: str) -> str:
    """Return the file of a section's chart."""
    return f"results_{'_'.join(re.findall('[a-z0-9]+', section.lower()))}.png"


def draw_charts(sections: dict[str, list[Row]], records: Sequence[Record], folder: Path) -> None:
    """Draw a chart of every section that has runs."""
    for name, rows in sections.items():
        bars = []
        for row in rows:
            own = [one for one in records if one["command"] == command_of(row)]
            runs = [
                Run(Path(), {name: {"selected": one[key]} for name, key in ACCURACIES}, {"seed": one["seed"]})
                for one in own
            ]
            if runs:
                bars.append(ChartRow(row["row"], tuple(runs)))
        if bars:
            save(bar_chart(bars), folder / picture(name))


def measured(row: Row, records: Sequence[Record]) -> list[Record]:
    """Return a row's runs, by their seeds."""
    return sorted((one for one in records if one["command"] == command_of(row)), key=lambda one: one["seed"])


def tables(sections: dict[str, list[Row]], records: Sequence[Record]) -> str:
    """Return the page's tables, each with its chart and the commands that repeat it; a row without runs is left out."""
    parts = []
    for name, rows in sections.items():
        heads, line_of = KINDS.get(name, ADAPTATION)
        found = [(row, runs) for row in rows if (runs := measured(row, records))]
        if found:
            lines = [line(["row", *heads]), line(["---"] * (1 + len(heads)))]
            lines += [line_of(row["row"], runs) for row, runs in found]
            parts.append(
                f"## {name}\n\n" + "\n".join(lines) + f"\n\n![{name}](pictures/{picture(name)})\n\n{commands(found)}"
            )
    return "\n\n".join(parts) + "\n"


def commands(found: Sequence[tuple[Row, list[Record]]]) -> str:
    """Return the commands behind a table's rows, folded away."""
    lines = []
    for row, runs in found:
        seeds = ",".join(str(run["seed"]) for run in runs)
        lines += [f"# {row['row']}", f"dacn compare {command_of(row)} --seeds {seeds}"]
    return "<details><summary>The commands that repeat it</summary>\n\n```\n" + "\n".join(lines) + "\n```\n\n</details>"


def headline(chosen: Record, sections: dict[str, list[Row]], records: Sequence[Record]) -> str:
    """Return the README's table: a line a pair, what is selected without labels, mean and deviation over the seeds."""
    lines = [line(["", *chosen["columns"]]), line(["---", *["---:"] * len(chosen["columns"])])]
    for pair, cells in chosen["pairs"].items():
        shown = []
        for column in chosen["columns"]:
            section, title = cells.get(column, (None, None))
            rows = [row for row in sections.get(section, []) if row["row"] == title]
            runs = measured(rows[0], records) if rows else []
            shown.append(percent(spread_of(run["selected"] for run in runs), with_std=True) if runs else "-")
        lines.append(line([pair, *shown]))
    return "\n".join(lines) + "\n"


def between(text: str, marks: tuple[str, str], wanted: str) -> str:
    """Return a page with the part between two marks replaced."""
    before, _, rest = text.partition(marks[0])
    return f"{before}{marks[0]}{wanted}{marks[1]}{rest.partition(marks[1])[2]}"


@click.command(help=__doc__.partition("\n")[0])
@click.argument("folders", metavar="[RUNS]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where pages, records and runs disagree.")
@click.option("--root", type=click.Path(path_type=Path), default=REPOSITORY, hidden=True, help="Of the repository.")
def main(folders: tuple[Path, ...], check: bool, root: Path) -> None:
    """Bring the pages up to the runs, or compare the two."""
    folder = root / "recipes" / "results"
    kept = folder / "runs.json"
    sections = yaml.safe_load((folder / "rows.yaml").read_text(encoding="utf-8"))
    rows = [row for part in sections.values() for row in part]
    records = {(record["command"], record["seed"]): record for record in json.loads(kept.read_text(encoding="utf-8"))}
    problems = []
    try:
        taken = collect(rows, find_runs(folders)[0], root / "recipes") if folders else []
    except DacnError as error:
        raise click.ClickException(str(error)) from error
    for record in taken:
        key = record["command"], record["seed"]
        old = records.get(key)
        if check and old is None:
            problems.append(f"{key[0]} --seed {key[1]}: has no record")
        elif check and any(old[name] != record[name] for name in NUMBERS):
            told, found = (", ".join(f"{name} {each[name]}" for name in NUMBERS) for each in (old, record))
            problems.append(f"{key[0]} --seed {key[1]}: recorded as {told}, the run has {found}")
        if not check:  # else the same numbers of another commit and day would seem to disagree
            records[key] = record
    order = {command_of(row): place for place, row in enumerate(rows)}
    listed = sorted(
        (r for r in records.values() if r["command"] in order), key=lambda r: (order[r["command"]], r["seed"])
    )
    chosen = yaml.safe_load((folder / "headline.yaml").read_text(encoding="utf-8"))
    pages = {
        root / "docs" / "results.md": (RESULTS, tables(sections, listed)),
        root / "README.md": (HEADLINE, headline(chosen, sections, listed)),
    }
    present = {page: page.read_text(encoding="utf-8") for page in pages}
    wanted = {page: between(present[page], *pages[page]) for page in pages}
    if check:
        if not problems:
            problems = [
                f"{page.relative_to(root)}: other tables than recipes/results has; run python recipes/results/tables.py"
                for page in pages
                if present[page] != wanted[page]
            ]
        click.echo("\n".join(problems) or f"Pages, records and {len(taken)} run(s) agree.")
        sys.exit(1 if problems else 0)
    kept.write_text("[\n" + ",\n".join(json.dumps(record) for record in listed) + "\n]\n", encoding="utf-8")
    draw_charts(sections, listed, root / "docs" / "pictures")
    for page, text in wanted.items():
        page.write_text(text, encoding="utf-8")
    click.echo(f"{len(taken)} run(s) taken over; the tables show {len(listed)}.")


if __name__ == "__main__":
    main()
