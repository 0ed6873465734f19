"""``dacn compare``."""

from pathlib import Path
from typing import Any

import click

from dacn.cli.completion import complete_override
from dacn.cli.options import DEVICE, RECIPE, parse_seeds


@click.command()
@RECIPE
@click.option(
    "--vary", metavar="KEY.PATH=A,B,C", multiple=True,
    help="Values to try, in YAML; may be repeated, and all combinations are trained.", shell_complete=complete_override,
)  # fmt: skip
@click.option("--seeds", metavar="0,1,2", callback=parse_seeds, help="Of every combination.  [default: the recipe's]")
@click.option(
    "--set", "overrides", metavar="KEY.PATH=VALUE", multiple=True, help="Override a key in all runs.",
    shell_complete=complete_override,
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the comparison.  [default: runs/NAME-compare]")
@click.option("--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, help="Runs at a time.")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="What runs them: processes here, or Ray, on this machine or the cluster that RAY_ADDRESS names.",
)  # fmt: skip
@DEVICE
@click.option("--force", is_flag=True, help="Train every run anew, those that are finished too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
def command(
    path: Path,
    vary: tuple[str, ...],
    seeds: tuple[int, ...],
    overrides: tuple[str, ...],
    out: Path | None,
    jobs: int,
    engine: Any,
    device: str,
    force: bool,
    as_json: bool,
) -> None:
    """Train RECIPE over values of its keys and over seeds, and tabulate what comes out.

    Each run is a process with a folder of its own in DIR, and `dacn report DIR` shows them all. Finished runs are not
    done again and unfinished ones are gone on with, so after a stop the same command does what is left. A failed run
    stops no other; the exit code is 1 then. DIR receives comparison.md, .csv, .tex, .json and .png.

    \b
    Example:
      dacn compare recipes/digits_acn.yaml --vary model.norm=bn,cn,acn --seeds 0,1,2 --jobs 2
      dacn compare recipes/digits_acn.yaml --vary 'model.norm=cn,{name: acn, eta: 0.05}' --set train.steps=500
    """
    from rich.console import Console

    from dacn.cli.rows_table import print_rows
    from dacn.compare.comparison import compare, describe_failures
    from dacn.compare.grid import make_cells
    from dacn.errors import RunError
    from dacn.report.table import as_json as in_json
    from dacn.report.table import markdown

    cells = make_cells(path, vary, seeds, overrides)
    out = out or Path("runs") / f"{cells[0].recipe.name}-compare"
    rows, failed = compare(cells, out, jobs=jobs, device=device, force=force, engine=engine)
    if rows:
        console = Console()
        if console.is_terminal and not as_json:
            print_rows(rows, console)
        else:
            click.echo(in_json(rows) if as_json else markdown(rows), nl=False)
        click.echo(f"The comparison is in {out}", err=True)
    if failed:
        raise RunError(describe_failures(failed, out))
