"""``dacn bench``."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from dacn.cli.completion import complete_recipe
from dacn.cli.options import AS_JSON, DEVICE, OVERRIDES


def _shapes(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Return the sizes of each ``128x32x16x16``."""
    shapes = [tuple(int(size) if size.isdecimal() else 0 for size in value.split("x")) for value in values]
    for value, sizes in zip(values, shapes, strict=True):
        if len(sizes) != 4 or min(sizes) < 1 or sizes[0] < 4:
            raise click.BadParameter(
                f"got {value!r}; expected four sizes, batch (4 or more), channels, height and width: 128x32x32x32"
            )
    return shapes


@click.command()
@click.argument(
    "path", metavar="[RECIPE]", required=False, type=click.Path(path_type=Path), shell_complete=complete_recipe
)
@OVERRIDES
@DEVICE
@click.option("--rounds", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Measurements of each.")
@click.option(
    "--seconds", type=click.FloatRange(0), default=45.0, show_default=True,
    help="About how long all of it may take on a CPU: fewer rounds, and smaller batches of a large network. "
    "0: as long as it takes.",
)  # fmt: skip
@click.option(
    "--shape",
    "shapes",
    metavar="BxCxHxW",
    callback=_shapes,
    multiple=True,
    help="Activations to compare norm layers on; may be repeated.  [default: those of WRN-28-2]",
)
@AS_JSON
def command(
    path: Path | None,
    overrides: tuple[str, ...],
    device: str,
    rounds: int,
    seconds: float,
    shapes: list[Any],
    as_json: bool,
) -> None:
    """Measure how fast RECIPE trains on this machine: the step against the bare network, what each part takes, and how
    long the whole recipe will take with its evaluations.

    Contenders take turns in one process and ratios are told, so that other work on the machine matters little. Images
    are made up, whatever the recipe's data: nothing needs to be there. Without RECIPE, that of the embedded digits. On
    a CPU it ends within about a minute; --seconds 0 is for numbers to publish.

    \b
    Example:
      dacn bench
      dacn bench recipes/mnist_svhn_acn.yaml --device cuda --json
    """
    from dacn.bench.norms import SHAPES
    from dacn.bench.report import measure
    from dacn.bench.setting import digits_recipe
    from dacn.cli.bench_tables import print_bench
    from dacn.machine.memory import keep_freed_memory
    from dacn.recipe.recipe import load_recipe
    from dacn.run.build import pick_device

    if path is None and overrides:
        raise click.UsageError("--set overrides a key of RECIPE: name one")
    keep_freed_memory()  # as `dacn train` does
    place = pick_device(device)
    recipe = digits_recipe() if path is None else load_recipe(path, overrides)
    # Layers are compiled on a GPU, which takes its time: one size will do there.
    shapes = shapes or [*(SHAPES if place.type == "cpu" else SHAPES[:1])]
    shows = place.type == "cuda" or sys.stderr.isatty()  # where it takes minutes, or somebody looks on

    began = time.perf_counter()

    def tell(what: str) -> None:
        if shows:
            click.echo(f"{time.perf_counter() - began:3.0f} s  measuring {what} ...", err=True)

    result = measure(recipe, place, rounds, shapes, tell, seconds or None)
    if as_json:
        click.echo(json.dumps(result, indent=2, allow_nan=False))
    else:
        print_bench(result)
