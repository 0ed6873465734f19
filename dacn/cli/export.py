"""``dacn export``."""

import json
from pathlib import Path

import click

from dacn.cli.options import AS_JSON, CHECKPOINT, RUN, context_option


@click.command()
@RUN
@click.option(
    "--format",
    type=click.Choice(["onnx", "exported", "state_dict"]),
    default="onnx",
    show_default=True,
    help="A file for ONNX Runtime, for torch.export.load, or the weights alone.",
)
@context_option("The domain that it is for")
@CHECKPOINT
@click.option("--out", type=click.Path(path_type=Path), help="The file.  [default: NAME-CONTEXT.onnx, .pt2 or .pt]")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Images to check the file on.  [default: the run's own; random ones where these are not at hand]",
)
@AS_JSON
def command(
    run: Path,
    format: str,
    context: str | None,
    checkpoint: str,
    out: Path | None,
    images: Path | None,
    as_json: bool,
) -> None:
    """Write the network of the run in folder RUN, for one context, to a file that runs without dacn.

    It takes RGB bytes (batch, 3, size, size), scales them itself and gives class probabilities. Beside it lies
    FILE.json with the classes and how to prepare images as `dacn predict` does, in words (preparation) and as Python
    code for Pillow and NumPy (preparation_code); an ONNX file holds the same as metadata. The file is read again and
    must agree with the network.

    \b
    Example:
      dacn export runs/digits_acn-seed0 --out digits.onnx
      dacn export runs/digits_acn-seed0 --format exported --context unknown
    """
    from dacn.deploy.export import export_run

    result = export_run(run, format=format, out=out, context=context, checkpoint=checkpoint, images=images)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    check, given, returned = result["check"], result["input"], result["output"]
    click.echo(f"{result['recipe']}, {checkpoint} checkpoint, step {result['step']}, context {result['context']}")
    for what, value in (("takes", given), ("gives", returned)):
        click.echo(f"{what}  {value['name']}: {value['type']} ({', '.join(map(str, value['shape']))})")
    click.echo(
        f"check  {check['images']} {check['of']}: probabilities differ from the network's by "
        f"{check['largest_difference']:.1e} at most\n"
    )
    click.echo(f"The network is in {result['out']}, facts about it in {result['out']}.json")
