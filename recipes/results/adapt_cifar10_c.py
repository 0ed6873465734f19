"""Repeat the tables of docs/adapt.md: a network of CIFAR-10 meets fifteen corruptions without its source data.

The run is any of CIFAR-10's ten classes; the images come from class folders in DIR/test, corrupted at severity 5 as
`dacn data prepare cifar10_c` does. Half of them are adapted to, and all numbers are of the other half; a stream is all
of them. Every corruption begins with the network as it was trained (reset).

Example:
  python recipes/results/adapt_cifar10_c.py RUN DIR
  python recipes/results/adapt_cifar10_c.py RUN DIR --streams --only fog --only gaussian_noise
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean

import click
import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dacn.data.corruption.corrupt import corrupt
from dacn.data.known.sets import CORRUPTIONS
from dacn.data.read.folder import folder
from dacn.deploy.adapt.online import Stream
from dacn.deploy.loading import load_run
from dacn.deploy.network import Network

SEVERITY = 5
DRAWS = 2  # of so few images, means over so many
STREAMS: tuple[tuple[str, int], ...] = (
    *(("context", 200), ("context", 16), ("context", 1)),
    *(("tent", 200), ("tent", 16), ("eata", 200), ("eata", 16), ("sar", 200), ("sar", 16), ("lame", 16)),
)
"""Method and batch size."""


def test_images(place: Path, count: int) -> tuple[Tensor, Tensor]:
    """Return some test images as bytes ``(N, H, W, 3)``, drawn once for all, and their labels."""
    domain = folder(place / "test", 32)
    rows = torch.randperm(len(domain), generator=torch.Generator().manual_seed(0))[:count]
    assert domain.labels is not None
    assert isinstance(domain.images, Tensor)
    return domain.images[rows].permute(0, 2, 3, 1), domain.labels[rows]


def corrupted(images: Tensor, kind: str) -> Tensor:
    """Return images under a corruption, ``(N, 3, H, W)``."""
    number = CORRUPTIONS.index(kind)
    arrays = [
        corrupt(image, kind, SEVERITY, np.random.default_rng((0, 1, number, SEVERITY, index)))
        for index, image in enumerate(images.numpy())
    ]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def error(probabilities: Tensor, labels: Tensor) -> float:
    """Return the percentage of wrong predictions."""
    return 100 * float((probabilities.argmax(1) != labels).float().mean())


def offline(network: Network, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the error on the second half of the images, of the network and of what the first half makes of it."""
    half = len(images) // 2
    test, truth = images[half:], labels[half:]
    result = {"source": error(network.predict(test, network.contexts[0]), truth)}
    for count in (1, 10, 100):
        errors = []
        for draw in range(DRAWS if count < 100 else 1):
            rows = torch.randperm(half, generator=torch.Generator().manual_seed(draw))[:count]
            errors.append(error(network.adapt(images[rows]).predict(test), truth))
        result[f"context, {count}"] = fmean(errors)
    result[f"context, {half}"] = error(network.adapt(images[:half]).predict(test), truth)
    result["statistics of all"] = error(network.adapt(images, strength=0.0).predict(test), truth)
    for method in ("tent", "eata", "sar"):
        result[f"{method}, {half}"] = error(network.adapt(images[:half], method=method).predict(test), truth)
    return result


def streams(network: Network, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the error over a stream, by method, batch size and order."""
    result = {"source": error(network.predict(images, network.contexts[0]), labels)}
    orders = {"i.i.d.": torch.arange(len(labels)), "sorted by class": torch.argsort(labels, stable=True)}
    for order, rows in orders.items():
        for method, size in STREAMS:
            stream = Stream(network, method)
            got = torch.cat([stream.predict(part) for part in torch.split(images[rows], size)])
            result[f"{method}, {size}, {order}"] = error(got, labels[rows])
            if stream.notes:
                click.echo(f"  {method}, {size}, {order}: {'; '.join(stream.notes)}", err=True)
    return result


def interleaved(network: Network, clean: Tensor, labels: Tensor, pair: tuple[str, str]) -> dict[str, float]:
    """Return the error over a stream of two corruptions, image by image in turn, in one context and in two."""
    images = torch.stack([corrupted(clean, kind) for kind in pair], dim=1).flatten(0, 1)
    labels = labels.repeat_interleave(2)
    result = {"source": error(network.predict(images, network.contexts[0]), labels)}
    for domains in (1, 2):
        stream = Stream(network, domains=domains)
        got = torch.cat([stream.predict(part) for part in torch.split(images, 16)])
        result[f"context, {domains} of two domains"] = error(got, labels)
    return result


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("place", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--images", "count", default=1000, show_default=True, help="Test images that are taken.")
@click.option("--only", multiple=True, type=click.Choice(CORRUPTIONS), help="A corruption.  [default: all fifteen]")
@click.option("--streams", "as_streams", is_flag=True, help="The table of streams, in place of that of folders.")
@click.option("--two", is_flag=True, help="Two corruptions of --only in turn, in place of both.")
def command(run: Path, place: Path, count: int, only: tuple[str, ...], as_streams: bool, two: bool) -> None:
    """Print the error in percent, a row a method: of each corruption and on average."""
    network = load_run(run, device="cpu")
    clean, labels = test_images(place, count)
    kinds = only or CORRUPTIONS
    measure: Callable[[Tensor, Tensor], dict[str, float]] = partial(streams if as_streams else offline, network)
    if two:
        columns = {f"{kinds[0]} and {kinds[1]}": interleaved(network, clean, labels, (kinds[0], kinds[1]))}
    else:
        columns = {}
        for kind in kinds:
            columns[kind] = measure(corrupted(clean, kind), labels)
            click.echo(f"{kind}: " + ", ".join(f"{k} {v:.1f}" for k, v in columns[kind].items()), err=True)
    click.echo("| | " + " | ".join([*columns, "mean"]) + " |")
    click.echo("| --- |" + " ---: |" * (len(columns) + 1))
    for row in next(iter(columns.values())):
        values = [column[row] for column in columns.values()]
        click.echo(f"| {row} | " + " | ".join(f"{value:.1f}" for value in [*values, fmean(values)]) + " |")


if __name__ == "__main__":
    command()
