"""``dacn predict``."""

import json
from pathlib import Path
from typing import Any

import click

from dacn.cli.options import CHECKPOINT, DEVICE, RUN, context_option

MOST_CLASSES = 20  # that are printed


@click.command()
@RUN
@click.argument("images", type=click.Path(path_type=Path))
@context_option("What domain the images are of")
@CHECKPOINT
@click.option("--out", type=click.Path(path_type=Path), help="The table.  [default: predictions.csv]")
@click.option(
    "--on-bad-image",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="Name the unreadable images and write nothing, or say so in their rows.",
)
@click.option(
    "--range",
    "value_range",
    type=(float, float),
    metavar="LOW HIGH",
    help="What becomes black and what white in images of more than 8 bits.  [default: as in the run's training]",
)
@click.option("--batch-size", type=click.IntRange(1), help="Images at a time.  [default: the run's; 16 in a stream]")
@click.option("--adapt", type=click.Choice(["online"]), help="Take IMAGES for a stream of a new domain: learn from it.")
@click.option(
    "--method",
    type=click.Choice(["context", "tent", "eata", "sar", "lame", "shot"]),
    default="context",
    show_default=True,
    help="How --adapt learns from a batch.",
)
@click.option(
    "--domains",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="How many domains the stream is of, at most; which one an image is of is told from the image.",
)
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the predictions unless --out is given.")
def command(
    run: Path,
    images: Path,
    context: str | None,
    checkpoint: str,
    out: Path | None,
    on_bad_image: Any,
    value_range: tuple[float, float] | None,
    batch_size: int | None,
    adapt: Any,
    method: str,
    domains: int,
    device: str,
    as_json: bool,
) -> None:
    """Predict the class of IMAGES with the network of the run in folder RUN; the run's data are not needed.

    IMAGES is a folder of images at any depth, one image, or an .npz archive. They are resized as in training. The table
    has a row an image: path, class, confidence, the next two classes and theirs, and the problem of an unreadable one.
    What else the folder holds is counted on stderr, and under passed_over in --json.

    \b
    Example:
      dacn predict runs/digits_acn-seed0 photos/ --out photos.csv
      dacn predict runs/digits_acn-seed0 photo.jpg --context unknown --json
      dacn predict runs/digits_acn-seed0 new_camera/ --adapt online --batch-size 16
    """
    from dacn.cli.progress import progress_line
    from dacn.deploy.prediction import predict_run

    with progress_line("images") as progress:
        result = predict_run(
            run,
            images,
            out=out if out or as_json else Path("predictions.csv"),
            context=context,
            checkpoint=checkpoint,
            device=device,
            on_bad_image=on_bad_image,
            value_range=value_range,
            batch_size=batch_size,
            adapt=adapt,
            method=method,
            domains=domains,
            progress=progress,
        )
    for note in result["notes"]:
        click.echo(note, err=True)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    bad = f", {result['unreadable']:,} more could not be read" if result["unreadable"] else ""
    under = f"under the context {result['context']}"
    if "adapted" in result:
        under = f"as a stream, adapted by {method} from the context {result['context']}"
    click.echo(f"{result['images']:,} images {under}, mean confidence {result['mean_confidence']:.1%}{bad}\n")
    counts = sorted(result["classes"].items(), key=lambda item: -item[1])
    width = max(len(name) for name in result["classes"])
    for name, count in counts[:MOST_CLASSES]:
        click.echo(f"{name:<{width}}  {count:>8,}  {count / result['images']:>6.1%}")
    if len(counts) > MOST_CLASSES:
        click.echo(f"and {len(counts) - MOST_CLASSES:,} more classes")
    click.echo(f"\nThe predictions are in {result['out']}")
