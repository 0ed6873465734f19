"""``dacn evaluate``."""

import json
from pathlib import Path

import click

from dacn.cli.options import AS_JSON, CHECKPOINT, DEVICE, OTHER_DATA, RUN


@click.command()
@RUN
@click.option(
    "--set", "overrides", metavar="KEY.PATH=VALUE", multiple=True, help="Where its images are now; may be repeated."
)
@OTHER_DATA
@CHECKPOINT
@DEVICE
@AS_JSON
def command(
    run: Path, overrides: tuple[str, ...], other_data: bool, checkpoint: str, device: str, as_json: bool
) -> None:
    """Evaluate the run in folder RUN on its test sets: accuracy of each domain's data under each context.

    Its images are found where they lay in training, from whatever folder this is called, and must be the same ones. If
    the whole project has moved, call this from its new place; --set data.target_test.folder=DIR names any other. An
    adapted run is evaluated on the labelled images of its new domain, under each context, without its training's data.

    \b
    Example:
      dacn evaluate runs/digits_acn-seed0 --checkpoint last
      dacn evaluate runs/mine-seed0 --set data.target_test.folder=new/photos --other-data
    """
    from dacn.cli.tables import print_by_context, print_table
    from dacn.deploy.evaluation import evaluate_run

    result = evaluate_run(run, checkpoint, device, overrides, other_data=other_data)
    for text in result["warnings"]:
        click.echo(f"warning: {text}", err=True)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    click.echo(f"{result['recipe']}, seed {result['seed']}: {checkpoint} checkpoint, step {result['step']}\n")
    if "adapted" not in result:
        print_by_context(result)
        return
    rows = [(name.partition("/")[2], [f"{value:.2f}"]) for name, value in result["matrix"].items()]
    print_table("accuracy by context, %", [f"images of {result['adapted']['name']}"], rows)
