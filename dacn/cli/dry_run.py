"""``dacn train --dry-run``: the whole recipe, and what training it would take."""

from pathlib import Path

import click

from dacn.bench.dry_run import DryRun, rehearse
from dacn.data.domain import DomainPair
from dacn.recipe.recipe import Recipe
from dacn.run.build import pick_device
from dacn.trainer.estimate import in_words


def print_dry_run(recipe: Recipe, out: Path, device: str) -> None:
    """Print a recipe with every key, and below it, as comments of YAML, its data, steps, time and memory."""
    place = pick_device(device)
    found = rehearse(recipe, place)
    click.echo(found.recipe.to_yaml(), nl=False)
    lines = [*_data(found.pair), *_work(found, place.type)]
    stands = "which holds a run already" if (out / "recipe.yaml").exists() else "which is free"
    for title, text in [*lines, ("folder", f"{out}, {stands}; nothing was written")]:
        click.echo(f"# {title + ':':<13} {text}")


def _data(pair: DomainPair) -> list[tuple[str, str]]:
    height, width = pair.source.images.shape[2:]
    classes = f"{len(pair.classes)}: {', '.join(pair.classes[:10])}{', ...' if len(pair.classes) > 10 else ''}"
    parts = [
        (part, f"{len(domain):,} {'unlabelled' if domain.labels is None else 'labelled'} images of {domain.name}")
        for part, domain in pair.domains.items()
    ]
    return [
        *parts,
        ("images", f"{height}x{width} pixels"),
        ("classes", classes),
        ("contexts", ", ".join(pair.contexts)),
    ]


def _work(found: DryRun, device: str) -> list[tuple[str, str]]:
    whole, (source, target) = found.whole, found.images
    both = f"{source} + {target} images" if target else f"{source} source images"
    passes = f"{found.source_passes:.1f} passes over the source"
    passes += f", {found.target_passes:.1f} over the target" if target else ", none over the target"
    step = f"{1000 * found.step_seconds:,.0f} ms a step (measured over {found.measured})"
    number = whole["evaluations"]
    evaluations = f"{number} evaluation{'s' * (number != 1)}, {whole['evaluation_percent']:.0f} % of it"
    memory = "not counted here" if found.megabytes is None else f"{found.megabytes:,.0f} MB at most in these steps"
    length = [] if found.length is None else [("length", found.length)]
    return [
        *length,
        ("network", f"{found.parameters:,} parameters"),
        ("steps", f"{whole['steps']:,} of {both}: {passes}"),
        ("time", f"{in_words(whole['seconds'])} on this {'GPU' if device == 'cuda' else 'CPU'}: {step}, {evaluations}"),
        ("memory", memory),
    ]
