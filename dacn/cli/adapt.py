"""``dacn adapt``."""

import json
from pathlib import Path
from typing import Any

import click

from dacn.cli.options import AS_JSON, CHECKPOINT, DEVICE


@click.command()
@click.argument("paths", metavar="RUN IMAGES", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--method",
    type=click.Choice(["context", "tent", "eata", "sar", "shot", "lame"]),
    default="context",
    show_default=True,
    help="What moves: the new context's tables; its scale and shift too (tent, eata, sar); or all features (shot).",
)
@click.option("--name", help="What the new context is called.  [default: the name of the images' folder]")
@click.option("--out", type=click.Path(path_type=Path), help="The new run folder.  [default: RUN-NAME]")
@click.option(
    "--test", type=click.Path(path_type=Path), help="Class folders, to report accuracy on; nothing else sees them."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the order of the images.")
@click.option("--model", type=click.Path(path_type=Path), help="In place of RUN: weights that were trained elsewhere.")
@click.option("--arch", help="Of --model: a name of torchvision's or timm's.")
@click.option("--classes", type=click.Path(path_type=Path), help="Of --model: a file with a class name a line.")
@click.option("--num-classes", type=click.IntRange(2), help="Of --model: how many, where they have no names.")
@click.option("--image-size", type=click.IntRange(8), default=224, show_default=True, help="Of --model, in pixels.")
@CHECKPOINT
@DEVICE
@AS_JSON
@click.pass_context
def command(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    model: Path | None,
    arch: str | None,
    classes: Path | None,
    num_classes: int | None,
    image_size: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Adapt the network of the run in folder RUN to the domain of IMAGES, without labels and without its own data.

    The images become a context of their own in the network's norm layers, called NAME; the contexts that it knows stay
    as they are, to the bit. The result is a run folder again: evaluate, predict, export and adapt take it, and the
    network before is in it as checkpoints/frozen.pt. If predictions collapse, the method goes back and says so.

    \b
    Example:
      dacn adapt runs/digits_acn-seed0 hospital_b/ --test hospital_b_labelled/
      dacn predict runs/digits_acn-seed0-hospital_b more_of_b/ --context hospital_b
      dacn adapt --model resnet50.pt --arch resnet50 --classes names.txt hospital_b/
    """
    from dacn.cli.progress import progress_line
    from dacn.deploy.adapt.adapt import adapt_run
    from dacn.deploy.adapt.elsewhere import adapt_file

    if len(paths) != (2 if model is None else 1):
        raise click.UsageError("expected RUN IMAGES, or IMAGES alone with --model FILE --arch NAME")
    if (model is None) != (arch is None):
        raise click.UsageError("--model and --arch go together")
    with progress_line("images passed") as progress:
        how: Any = {**options, "command": ctx.obj or (), "progress": progress}
        if model is None or arch is None:
            result = adapt_run(paths[0], paths[1], **how)
        else:
            told: Any = {"classes": classes, "num_classes": num_classes, "image_size": image_size}
            result = adapt_file(model, paths[0], arch=arch, **told, **how)
    for note in result["warnings"]:
        click.echo(f"warning: {note}", err=True)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    _print(result)


def _print(result: dict[str, Any]) -> None:
    from dacn.cli.tables import print_table

    adapted = result["adapted"]
    click.echo(f"{adapted['images']:,} images became the context {adapted['name']}, by {adapted['method']}")
    if adapted["distances"]:
        distances = ", ".join(f"{name} {distance:.3f}" for name, distance in adapted["distances"].items())
        click.echo(f"distance from known contexts, nats a channel: {distances}; started at {adapted['start']}")
    if "strength" in adapted:
        click.echo(
            f"its rows went {adapted['share']:.0%} of the way from there to the images (the start counts as "
            f"{adapted['strength']:g} images), and are {adapted['distance_after']:.3f} from them"
        )
    click.echo(adapted["verdict"])
    signs = [("before", adapted["before"]), ("after", adapted["after"])]
    print_table(
        "label-free",
        ["entropy", "confidence", "classes in use", "as before"],
        [
            (n, [f"{s['entropy']:.3f}", f"{s['confidence']:.1%}", f"{s['classes']:.1f}", f"{s['agreement']:.1%}"])
            for n, s in signs
        ],
    )
    accuracy = result["accuracy"]
    if accuracy["after"]:
        names = dict.fromkeys([*accuracy["before"], *accuracy["after"]])
        rows = [(n, [_percent(accuracy["before"].get(n)), _percent(accuracy["after"].get(n))]) for n in names]
        print_table("test accuracy under the context, %", ["before", "after"], rows)
    click.echo(f"\nThe adapted run is in {result['out']}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
