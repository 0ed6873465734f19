"""A run's numbers as tables; plain text where the output is no terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dacn.trainer.screen import print_text

DOMAINS = ("source", "target")
CONTEXTS = ("source", "target", "unknown")
SCORES = {
    "mutual_information": "information",
    "soft_neighborhood_density": "density",
    "batch_nuclear_norm": "nuclear norm",
    "negative_entropy": "-entropy",
    "source_accuracy": "source, %",
}
"""What label-free scores are called where there is little room."""
MODES = ("known", "inferred", "unknown")


def print_accuracies(summary: Mapping[str, Mapping[str, float | None]]) -> None:
    """Print the accuracies of each domain by checkpoint.

    Args:
        summary: holds ``source`` and ``target``, each with percentages named ``last``, ``selected``, ``oracle`` and
            ``gap``.
    """
    columns = ("last", "selected", "oracle", "gap")
    rows = [(domain, [summary[domain].get(column) for column in columns]) for domain in DOMAINS]
    _print("test accuracy, %", [*columns[:2], "oracle, not used", "gap to it"], rows)


def print_by_context(result: Mapping[str, Any]) -> None:
    """Print how accuracy depends on the context: the matrix where it is the domain, else with it known or not.

    Args:
        result: holds ``matrix`` and ``contexts``, as summary.json does.
    """
    if result["contexts"]["kind"] == "domain":
        _print_matrix(result["matrix"])
    else:
        _print_modes(result["contexts"])


def _print_matrix(matrix: Mapping[str, float | None]) -> None:
    rows = [(f"{d} data", [matrix.get(f"{d}_data/{c}_context") for c in CONTEXTS]) for d in DOMAINS]
    _print("accuracy by context, %", [f"{context} context" for context in CONTEXTS], rows)


def _print_modes(contexts: Mapping[str, Any]) -> None:
    rows = [(f"{d} data", [contexts[d].get(mode) for mode in MODES]) for d in DOMAINS if d in contexts]
    known = "known (leaks the label)" if contexts["leaks"] else "known"
    _print(f"accuracy by {contexts['kind']}, %", [known, "inferred", "unknown"], rows)


def print_recommendation(found: Mapping[str, Any]) -> None:
    """Print the ranking of methods, and why it may not hold.

    Args:
        found: what ``recommendation.json`` holds.
    """
    names = [*dict.fromkeys(name for each in found["methods"] for name in each["scores"])]
    rows = []
    for each in found["methods"]:
        numbers = [*(each["scores"].get(name) for name in names), each["target_not_used"]]
        cells = ["-" if one is None else _with_std(one["mean"], one["std"]) for one in numbers]
        rows.append((each["method"], [*cells[:-1], f"{each['classes_predicted']:.1f}", cells[-1]]))
    columns = [*(SCORES.get(name, name) for name in names), "classes", "target, not used"]
    print_table(f"by {SCORES[found['ranked_by']]}", columns, rows)
    print(f"\n{found['steps']:,} steps each. First: {found['recommended']}.")
    if found["doubts"]:
        print("The ranking cannot be trusted:")
    for line in found["doubts"]:
        print(f"- {line}")
    for name, why in found["left_out"].items():
        print(f"Left out: {name}: {why}")
    print(found["note"])


def _with_std(mean: float, std: float | None) -> str:
    """Return a mean to three digits, and its standard deviation over seeds where there is one."""
    return f"{mean:.3g}" if std is None else f"{mean:.3g} ± {std:.1g}"


def _print(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> None:
    print_table(title, columns, [(name, ["-" if v is None else f"{v:.2f}" for v in values]) for name, values in rows])


def print_unlabelled(report: Mapping[str, Any] | None) -> None:
    """Print what unlabelled target images tell of a run, in a few plain lines; nothing where there is no report.

    Args:
        report: ``unlabelled`` of summary.json.
    """
    if report is None:
        return
    lines = ["what unlabelled target images tell (signs, no proof):", *(f"  {line}" for line in _told(report))]
    print_text(Console(), "\n".join(lines))


def _told(report: Mapping[str, Any]) -> Iterator[str]:
    for name, sign in report["signs"].items():
        words = name.removesuffix("_percent").replace("_", " ")
        unit = " %" if name.endswith("_percent") else ""
        scale = f"chance {sign['worst']:.2g}, best {sign['best']:.3g}"
        yield f"{words} {sign['value']:.3g}{unit}: {sign['grade']} ({scale})"
    shares = sorted(report["predicted"].items(), key=lambda item: -item[1])
    named = ", ".join(f"{name} {share:.0f} % ({report['labelled'][name]:.0f} %)" for name, share in shares[:5])
    more = f" and {len(shares) - 5} more" if len(shares) > 5 else ""
    yield f"predicted classes (of the source's labels): {named}{more}"
    if report["unchanged"] is not None:
        yield f"predictions changed since step {report['unchanged_since']:,}: {100 - report['unchanged']:.0f} %"
    if report["kept"] is not None:
        yield f"images that are given a pseudo-label: {100 * report['kept']:.0f} %"


def print_table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Print a table: a title above the rows' names, a heading above each further column.

    Args:
        title, columns: the headings.
        rows: name and one text a column.
    """
    table: Any = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, values in rows:
        table.add_row(escape(name), *map(escape, values))
    console = Console(highlight=False)
    console.width = max(console.width, 100)  # rich would cut numbers off on a narrow screen
    console.print(table)
