"""The same run from Python."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dacn.data.domain import DomainPair
from dacn.recipe.recipe import parse_recipe
from dacn.run.run import train_recipe


def train(
    pair: DomainPair,
    *,
    algorithm: str | Mapping[str, Any] = "adamatch",
    model: Mapping[str, Any] | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    **sections: Mapping[str, Any],
) -> dict[str, Any]:
    """Train a network for a pair and return what summary.json holds.

    Args:
        pair: the images.
        algorithm: a name, or a mapping with options, as in a recipe.
        model: backbone, input_norm and norm, as in a recipe.
        steps: length of training; by default as in a recipe: 200 passes over the target, on a CPU at most 20 minutes.
        minutes: how long it may take, in place of ``steps``.
        seed: of everything random.
        out: the run folder; by default ``runs/<pair>-seed<seed>``.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: continue from the folder's last checkpoint.
        force: overwrite the run that is in the folder.
        sections: any other part of a recipe (augment, train, optimizer, schedule, evaluate).

    Raises:
        DacnError: a value that does not hold, or a run that failed.
    """
    length = {"steps": steps, "minutes": minutes}
    tree = {
        **sections,
        "name": pair.name,
        "seed": seed,
        "algorithm": algorithm,
        "model": model or {},
        "train": {**sections.get("train", {}), **{key: value for key, value in length.items() if value is not None}},
    }
    recipe = parse_recipe(tree, "dacn.train")
    folder = Path(out) if out is not None else Path("runs") / f"{pair.name}-seed{seed}"
    return train_recipe(recipe, out=folder, device=device, resume=resume, force=force, pair=pair, command=sys.argv)
