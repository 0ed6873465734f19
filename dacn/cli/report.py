"""``dacn report``."""

from pathlib import Path

import click


@click.command()
@click.argument("paths", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "kind", type=click.Choice(["md", "csv", "tex", "json"]),
    help="Of the table that is printed.  [default: for the eye in a terminal, else md]",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True, help="The page to write."
)
def command(paths: tuple[Path, ...], kind: str | None, out: Path) -> None:
    """Print finished runs as a table, and write them as one HTML page that opens offline.

    RUN is a run's folder, or a folder that holds some at any depth; those of a comparison come in its order. Runs of
    the same recipe on the same images, with different seeds, make one row. The page has the table, the context matrix,
    curves, every run's figures and the recipes.

    \b
    Example:
      dacn report runs
      dacn report runs/digits_acn-seed0 runs/digits_acn-seed1 --format tex --out acn.html
    """
    from rich.console import Console

    from dacn.cli.rows_table import print_rows
    from dacn.report.table import FORMATS
    from dacn.report.write import gather, write_page

    rows, left_out = gather(paths)
    write_page(out, rows, left_out)
    console = Console()
    if kind is None and console.is_terminal:
        print_rows(rows, console)
    else:
        click.echo(FORMATS[kind or "md"](rows), nl=False)
    for text in left_out:
        click.echo(text, err=True)
    click.echo(f"The page is {out}", err=True)
