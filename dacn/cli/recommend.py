"""``dacn recommend``."""

import json
from pathlib import Path

import click

from dacn.cli.options import AS_JSON, DEVICE, OVERRIDES, RECIPE, parse_seeds


def _names(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))


@click.command()
@RECIPE
@click.option(
    "--minutes", type=click.FloatRange(0.1, 100_000), default=30, show_default=True, help="For everything together."
)
@click.option(
    "--methods", metavar="A,B,C", callback=_names,
    help="To be tried.  [default: source_only, fixmatch, adamatch, cdan, mcc and the recipe's own]",
)  # fmt: skip
@click.option("--seeds", metavar="0,1", callback=parse_seeds, default="0,1", show_default=True, help="Of each method.")
@OVERRIDES
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the runs.  [default: runs/NAME-recommend]")
@DEVICE
@click.option("--force", is_flag=True, help="Begin anew, whatever is in the folder.")
@AS_JSON
def command(
    path: Path,
    minutes: float,
    methods: tuple[str, ...] | None,
    seeds: tuple[int, ...],
    overrides: tuple[str, ...],
    out: Path | None,
    device: str,
    force: bool,
    as_json: bool,
) -> None:
    """Try a few methods on RECIPE's pair for a short while, and rank them without a target label.

    A few steps of each are timed, and all get as many as fit into the time. The ranking is a weak one: the command says
    when it cannot be trusted, and docs/choosing.md how far such scores went with the accuracy. DIR receives a folder
    for each run, the table of `dacn compare` and recommendation.json; after a stop the same command goes on.

    \b
    Example:
      dacn recommend recipes/digits_ladder.yaml --minutes 30
      dacn recommend mine.yaml --minutes 60 --methods source_only,adamatch,self_ensembling --seeds 0,1,2 --json
    """
    from dacn.cli.tables import print_recommendation
    from dacn.compare.comparison import describe_failures
    from dacn.errors import RunError
    from dacn.recipe.recipe import load_recipe
    from dacn.recipe.shipped import find_recipe
    from dacn.recommend.recommend import recommend

    recipe = load_recipe(find_recipe(path), overrides)
    out = out or Path("runs") / f"{recipe.name}-recommend"
    result = recommend(recipe, out, minutes=minutes, methods=methods, seeds=seeds, device=device, force=force)
    if as_json:
        click.echo(json.dumps(result.tree(), indent=2, allow_nan=False))
    else:
        print_recommendation(result.tree())
        click.echo(f"The runs are in {out}", err=True)
    if result.failed:
        raise RunError(describe_failures(result.failed, out))
