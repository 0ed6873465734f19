"""Arguments and options that several commands take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dacn.cli.completion import complete_override, complete_recipe

RUN = click.argument("run", type=click.Path(path_type=Path))
RECIPE = click.argument("path", metavar="RECIPE", type=click.Path(path_type=Path), shell_complete=complete_recipe)
OVERRIDES = click.option(
    "--set",
    "overrides",
    metavar="KEY.PATH=VALUE",
    multiple=True,
    help="Override a key of the recipe; may be repeated.",
    shell_complete=complete_override,
)
CHECKPOINT = click.option(
    "--checkpoint",
    type=click.Choice(["last", "selected"]),
    default="selected",
    show_default=True,
    help="The last one, or the one that the label-free score chose.",
)
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
OTHER_DATA = click.option(
    "--other-data", is_flag=True, help="Take images that are not the run's own, and say so.  [default: refuse them]"
)


def context_option(of: str) -> Callable[[Any], Any]:
    """Return the option that names a context of a run, ``of`` says whose domain it is."""
    return click.option(
        "--context",
        help=f"{of}: target, another context of the run, inferred or unknown.  "
        "[default: target; inferred where contexts are no domains; unknown where the target was not trained]",
    )


def parse_seeds(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...]:
    """Return the seeds of ``0,1,2``; none where the option is not given."""
    try:
        seeds = tuple(int(part) for part in text.split(",")) if text is not None else ()
    except ValueError as error:
        raise click.BadParameter(f"got {text!r}, expected whole numbers such as 0,1,2") from error
    if any(not 0 <= seed < 2**31 for seed in seeds):
        raise click.BadParameter(f"got {text!r}, expected numbers from 0 to {2**31 - 1}")
    return seeds
