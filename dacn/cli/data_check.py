"""``dacn data check``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dacn.cli.options import AS_JSON, OVERRIDES, RECIPE

if TYPE_CHECKING:
    from dacn.data.inspect.check import Report

MOST_CLASSES = 40
"""So many classes are listed; the rest stands in check.json."""


@click.command()
@RECIPE
@OVERRIDES
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the report.  [default: runs/NAME-check]")
@AS_JSON
def command(path: Path, overrides: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Look at the images of RECIPE before training: counts, classes, sizes, colours, duplicates, shift.

    Writes check.json and, of images that can be read, pair.png. Nothing is trained. Where `dacn train` would refuse the
    data, the report says so in the same words, and the exit code is 2.

    \b
    Example:
      dacn data check recipes/digits_acn.yaml
      dacn data check my.yaml --set data.image_size=64 --json
    """
    from dacn.data.inspect.check import check, to_json
    from dacn.recipe.recipe import load_recipe
    from dacn.run.folder import require_free

    recipe = load_recipe(path, overrides)
    out = out or Path("runs") / f"{recipe.name}-check"
    require_free(out, resume=True, force=False)  # may be written
    assert recipe.data is not None  # a recipe file names its images
    report = check(recipe.data)
    content = {"recipe": recipe.name, **to_json(report)}
    figure = _write(out, content, report)
    if as_json:
        click.echo(json.dumps(content, indent=2))
    else:
        _print(recipe.name, report)
        click.echo(
            f"\nThe report is in {out}{'' if figure else '; no figure, for lack of a labelled source and a target'}"
        )
    if report.problems:
        raise click.exceptions.Exit(2)


def _write(out: Path, content: dict[str, Any], report: "Report") -> bool:
    """Write the report and the figure, if there can be one; return whether there is."""
    from dacn.evaluation.figures import pair_grid, save
    from dacn.machine.faults import explained

    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / "pair.png").unlink(missing_ok=True)
        (out / "check.json").write_text(json.dumps(content, indent=2) + "\n")
        if report.shown is not None:
            save(pair_grid(report.shown), out / "pair.png")
    return report.shown is not None


def _print(name: str, report: "Report") -> None:
    from dacn.cli.tables import print_table

    parts = report.parts
    columns = [*parts]
    click.echo(f"{name}\n")
    if parts:
        print_table("", columns, _figures(report))
    classes = [*dict.fromkeys(name for part in parts.values() for name in part.classes or ())]
    if classes:
        click.echo()
        rows = [(name, [_share(part.classes, name) for part in parts.values()]) for name in classes[:MOST_CLASSES]]
        print_table("class", columns, rows)
        if len(classes) > MOST_CLASSES:
            click.echo(f"and {len(classes) - MOST_CLASSES} more classes, in check.json")
    click.echo()
    for line in _findings(report):
        click.echo(line)


def _figures(report: "Report") -> list[tuple[str, list[str]]]:
    """Return what there is to say of every part, one row each."""
    parts = [*report.parts.values()]

    def sizes(sizes: tuple[tuple[int, int], ...] | None) -> str:
        if sizes is None:
            return "-"
        words = [f"{width}x{height}" for width, height in sizes]
        return words[0] if len({*words}) == 1 else f"{words[0]} to {words[2]}"

    rows = [
        ("domain", [part.name for part in parts]),
        ("images", [f"{part.images:,}" for part in parts]),
        ("labels", [part.labels for part in parts]),
        ("classes", ["-" if part.classes is None else str(sum(map(bool, part.classes.values()))) for part in parts]),
        ("size of files", [sizes(part.original_sizes) for part in parts]),
        ("size in training", [f"{part.size[0]}x{part.size[1]}" for part in parts]),
    ]
    rows += [
        (f"{colour}, mean ± std", [f"{part.mean[c]:.0f} ± {part.std[c]:.0f}" for part in parts])
        for c, colour in enumerate(("red", "green", "blue"))
    ]
    return [
        *rows,
        ("grey images", [f"{100 * part.grey:.0f} %" for part in parts]),
        ("held", ["in memory" if part.in_memory else "as files" for part in parts]),
    ]


def _share(classes: dict[str, int] | None, name: str) -> str:
    if classes is None:
        return "-"
    return f"{classes.get(name, 0):,} ({100 * classes.get(name, 0) / max(1, sum(classes.values())):.0f} %)"


def _findings(report: "Report") -> list[str]:
    lines = []
    if report.proxy_a_distance is not None:
        right = 50 + 25 * report.proxy_a_distance
        lines.append(
            f"shift: proxy A-distance {report.proxy_a_distance:.2f} of 2: from coarse pixels a linear classifier tells "
            f"the domain of {right:.0f} % of the images"
        )
    clean = [found.between for found in report.duplicates if not found.exact and not found.near]
    if clean:
        lines.append("duplicates: no image of " + ", ".join(f"{b} in {a}" for a, b in clean))
    lines += [f"warning: {line}" for line in report.warnings]
    lines += [f"problem: {line}" for line in report.problems]
    if report.problems:
        lines.append("`dacn train` would stop here")
    return lines
