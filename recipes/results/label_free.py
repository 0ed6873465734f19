"""How well label-free scores rank: their rank correlation with the target accuracy that they never saw.

``recipes/results/label_free.json`` holds what each evaluation of the recorded runs measured. Of it is made the table of
``docs/choosing.md`` between ``<!-- label-free -->`` and ``<!-- end of label-free -->``.

Example:
  python recipes/results/label_free.py runs/     take over what the runs in runs/ measured
  python recipes/results/label_free.py --check   does the page say what the record says?
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from scipy.stats import spearmanr

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from dacn.evaluation.validators import SOURCE_ACCURACY, VALIDATORS  # noqa: E402
from dacn.report.runs import read_run  # noqa: E402

MARKS = ("<!-- label-free -->\n", "<!-- end of label-free -->\n")
SCORES = (*VALIDATORS, SOURCE_ACCURACY)
FEWEST = 4
"""Numbers that a rank correlation is worth telling of."""
CLOSE = 5
"""Points within which a choice is hard."""
Record = dict[str, Any]


def record_of(folder: Path) -> Record | None:
    """Return what a run's evaluations measured; None without target labels, or where it did not finish."""
    if not (folder / "summary.json").is_file():
        return None
    run = read_run(folder)
    rows = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    evaluations = [row for row in rows if "label_free/mutual_information" in row and "accuracy/target" in row]
    if not evaluations:
        return None
    return {
        "pair": run.recipe["data"].get("pair"),
        "recipe": run.name,
        "algorithm": run.recipe["algorithm"]["name"],
        "norm": run.recipe["model"]["norm"]["name"],
        "steps": run.recipe["train"]["steps"],
        "seed": run.seed,
        "measured_on": hashlib.sha256(run.measured_on.encode()).hexdigest()[:8],
        "evaluations": [
            {"step": row["step"], "target": row["accuracy/target"]}
            | {name: row[f"label_free/{name}"] for name in SCORES if f"label_free/{name}" in row}
            for row in evaluations
        ],
    }


def key(record: Record) -> str:
    """Return what tells one run from another."""
    last = record["evaluations"][-1]
    return json.dumps([record[name] for name in ("pair", "recipe", "algorithm", "norm", "steps", "seed")] + [last])


def correlation(evaluations: Sequence[Record], score: str) -> str:
    """Return Spearman's rank correlation of a score with the target accuracy; ``-`` of too few."""
    known = [(each[score], each["target"]) for each in evaluations if score in each]
    if len(known) < FEWEST or len({one for one, _ in known}) < 2:
        return "-"
    return f"{spearmanr(*zip(*known, strict=True)).statistic:+.2f}"


def table(records: Iterable[Record]) -> str:
    """Return a line a pair and way of counting: how many numbers, and each score's rank correlation.

    Runs that were measured on other test images of the same pair are counted apart.
    """
    by_pair: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        by_pair.setdefault((record["pair"], record["measured_on"]), []).append(record)
    lines = [line(["pair", "compared", "n", *SCORES]), line(["---", "---", *["---:"] * (1 + len(SCORES))])]
    for (pair, _), runs in sorted(by_pair.items()):
        ends = [run["evaluations"][-1] for run in runs]
        best = max(each["target"] for each in ends)
        ways = {
            "runs, at their end": ends,
            f"of these the good ones, within {CLOSE} points of the best": [
                each for each in ends if each["target"] > best - CLOSE
            ],
            "all evaluations of all runs": [each for run in runs for each in run["evaluations"]],
        }
        for way, evaluations in ways.items():
            if len(evaluations) >= FEWEST:
                cells = (correlation(evaluations, score) for score in SCORES)
                lines.append(line([pair, way, str(len(evaluations)), *cells]))
    return "\n".join(lines) + "\n"


def line(cells: Iterable[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


@click.command(help=__doc__.partition("\n")[0])
@click.argument("folders", metavar="[RUNS]...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where page and record disagree.")
@click.option("--root", type=click.Path(path_type=Path), default=REPOSITORY, hidden=True, help="Of the repository.")
def main(folders: tuple[Path, ...], check: bool, root: Path) -> None:
    """Bring the page up to the record."""
    kept, page = root / "recipes" / "results" / "label_free.json", root / "docs" / "choosing.md"
    records = {key(record): record for record in json.loads(kept.read_text(encoding="utf-8"))}
    found = [record_of(file.parent) for folder in folders for file in sorted(folder.rglob("metrics.jsonl"))]
    records |= {key(record): record for record in found if record is not None and record["pair"]}
    listed = sorted(records.values(), key=key)
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    wanted = f"{before}{MARKS[0]}{table(listed)}{MARKS[1]}{rest.partition(MARKS[1])[2]}"
    if check:
        click.echo("Page and record agree." if text == wanted else f"{page.name}: another table than the record has")
        sys.exit(text != wanted)
    kept.write_text("[\n" + ",\n".join(map(json.dumps, listed)) + "\n]\n", encoding="utf-8")
    page.write_text(wanted, encoding="utf-8")
    click.echo(f"{len(listed)} run(s) in the table.")


if __name__ == "__main__":
    main()
