"""A finished or interrupted run, evaluated again on its test sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dacn.data.domain import DomainPair
from dacn.data.fingerprint import fingerprints
from dacn.errors import DataError
from dacn.evaluation.matrix import evaluate
from dacn.evaluation.per_class import per_class
from dacn.recipe.paths import paths_in
from dacn.recipe.recipe import Recipe, load_recipe
from dacn.run.build import build_algorithm, pair_of, pick_device
from dacn.run.classes import with_classes_of_run
from dacn.run.interface import read_interface, require_same_range
from dacn.run.origin import require_same_images, require_same_network, with_current_paths
from dacn.run.summary import describe_contexts
from dacn.trainer.checkpoint import load_checkpoint


def evaluate_run(
    run: Path,
    checkpoint: str = "selected",
    device: str = "auto",
    overrides: Sequence[str] = (),
    *,
    other_data: bool = False,
) -> dict[str, Any]:
    """Evaluate a finished or interrupted run on its test sets, wherever these lie now.

    Args:
        run: the run folder.
        checkpoint: ``last`` or ``selected``.
        device: ``auto``, ``cpu`` or ``cuda``.
        overrides: ``key.path=value`` each, in place of the recipe's: where its images are now.
        other_data: evaluate on other images than the run's own too; a warning says which are others.

    Raises:
        DataError: there is no such run or checkpoint, or the images are not its own, or of other classes.
    """
    if not (run / "recipe.yaml").is_file():
        raise DataError(f"{run}: not a run folder, it has no recipe.yaml; `dacn train` writes one")
    place = pick_device(device)
    path = run / "checkpoints" / f"{checkpoint}.pt"
    saved = load_checkpoint(path)
    recipe = with_current_paths(path, saved, load_recipe(run / "recipe.yaml", overrides))
    require_same_network(path, saved, recipe)
    pair = with_classes_of_run(path, read_interface(path, saved).classes, _rebuild_pair(recipe))
    doubt = require_same_images(path, saved, fingerprints(pair), other_data=other_data)
    require_same_range(path, saved, pair)
    pair = pair.to(place)
    algorithm = build_algorithm(recipe, pair, trained=True).to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    algorithm.model.load_state_dict(saved["model"])
    result = evaluate(
        algorithm.model,
        pair,
        uses_target=algorithm.uses_target,
        batch_size=recipe.evaluate.batch_size,
        flips=recipe.evaluate.flips,
        bf16=recipe.train.bf16_on(place),
    )
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "checkpoint": checkpoint,
        "step": saved["step"],
        "source": result.source,
        "target": result.target,
        "matrix": result.matrix,
        "label_free": result.scores,
        "per_class": per_class(result, pair),
        "contexts": describe_contexts(pair, result),
        "warnings": [] if doubt is None else [doubt],
    }


def _rebuild_pair(recipe: Recipe) -> DomainPair:
    """Return the pair of a run that was trained; where it has moved, the message says how to tell."""
    try:
        return pair_of(recipe, None)
    except DataError as error:
        gone = [key.partition("[")[0] for key, path in paths_in(recipe) if _of_images(key) and not path.exists()]
        if not gone:
            raise
        raise DataError(
            f"{error}\nIf the run's images lie elsewhere now, say where: --set {dict.fromkeys(gone).popitem()[0]}=..."
        ) from error


def _of_images(key: str) -> bool:
    """Whether a path in a recipe leads to images that are the user's."""
    return key.startswith("data.") and key not in ("data.root", "data.cache")
