"""``dacn evaluate``."""

import json
from pathlib import Path

import click

from dacn.cli.options import AS_JSON, CHECKPOINT, DEVICE


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@CHECKPOINT
@DEVICE
@AS_JSON
def command(run: Path, checkpoint: str, device: str, as_json: bool) -> None:
    """Evaluate the run in folder RUN on its test sets: accuracy of each domain's data under each context.

    \b
    Example:
      dacn evaluate runs/digits_acn-seed0 --checkpoint last
    """
    from dacn.cli.tables import print_by_context
    from dacn.run.run import evaluate_run

    result = evaluate_run(run, checkpoint, device)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    click.echo(f"{result['recipe']}, seed {result['seed']}: {checkpoint} checkpoint, step {result['step']}\n")
    print_by_context(result)
