"""Builds the pair, the algorithm with its network and the trainer that a recipe describes."""

from pathlib import Path
from typing import Any

import torch

from dacn.algorithms import method_of
from dacn.algorithms.base import Algorithm
from dacn.algorithms.context_learner import ContextLearner
from dacn.data.domain import DomainPair
from dacn.data.pair.pairs import build_pair
from dacn.data.views.augment import Augment
from dacn.data.views.loader import DomainLoader
from dacn.errors import DacnError, RecipeError
from dacn.models.build import build_model, require_image_size
from dacn.models.classifier import Classifier
from dacn.models.context_net import ContextClassifier
from dacn.recipe.recipe import Recipe
from dacn.run.interface import interface_of
from dacn.run.origin import Data, origin_of
from dacn.trainer.optimizer import build_optimizer
from dacn.trainer.schedule import build_schedule
from dacn.trainer.tracking import Tracker
from dacn.trainer.trainer import Trainer


def pick_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu`` or ``cuda`` means here."""
    if name == "cuda" and not torch.cuda.is_available():
        raise RecipeError("--device cuda: torch sees no GPU here; use --device cpu or auto")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def pair_of(recipe: Recipe, pair: DomainPair | None = None) -> DomainPair:
    """Return ``pair``, or that which the recipe describes.

    Raises:
        RecipeError: neither is there.
    """
    if pair is not None:
        return pair
    if recipe.data is None:
        raise RecipeError(
            "data: missing; this recipe's pair was built in Python: name a data.pair, or source and target"
        )
    return build_pair(recipe.data)


def with_image_size(recipe: Recipe, pair: DomainPair) -> tuple[Recipe, str | None]:
    """Return the recipe with its pair's image size, and what to tell of it; None where the recipe says it itself."""
    if recipe.data is None or recipe.data.image_size is not None:
        return recipe, None
    side = int(pair.source.images.shape[-1])
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"image_size": side})})
    files = [domain.file_size for domain in (pair.source, pair.target) if domain.file_size is not None]
    if not files:
        return recipe, None
    sizes = " and ".join(dict.fromkeys(f"{width}x{height}" for width, height in files))
    return recipe, f"images of {side}x{side} pixels: the median file has {sizes} (data.image_size sets another size)"


def build_algorithm(recipe: Recipe, pair: DomainPair, *, trained: bool = False) -> Algorithm:
    """Return the recipe's algorithm and its network, initialized from the recipe's seed.

    Args:
        recipe: of the run.
        pair: its images.
        trained: a checkpoint will replace all weights, so that those to start from need not be there any more.
    """
    torch.manual_seed(recipe.seed)
    algorithm_class, options = method_of(recipe.algorithm)
    context_net = pair.context_net
    if context_net is None and not pair.by_domain:
        context_net = ContextClassifier(pair.num_contexts)
    sizes = (len(pair.classes), pair.num_contexts)
    again = recipe.train.checkpoint_gradients
    model = build_model(recipe.model, *sizes, context_net, weights=not trained, checkpoint_gradients=again)
    require_image_size(model, *pair.source.images.shape[-2:])
    algorithm = _made(algorithm_class, options, model, len(pair.classes))
    algorithm.label_smoothing = recipe.train.label_smoothing
    _require_contexts(algorithm, recipe, pair)
    _require_classes(algorithm, recipe, pair)
    algorithm.prepare(pair)
    return ContextLearner(algorithm) if isinstance(context_net, ContextClassifier) else algorithm


def _made(method: type[Algorithm], config: Any, model: Classifier, num_classes: int) -> Algorithm:
    try:
        return method(config, model, num_classes)
    except DacnError:
        raise
    except Exception as error:
        if method.__module__.partition(".")[0] == "dacn":
            raise
        where = f"{method.__module__}:{method.__qualname__}"
        raise RecipeError(f"algorithm.python: {where} cannot be made: {type(error).__name__}: {error}") from error


def _require_contexts(algorithm: Algorithm, recipe: Recipe, pair: DomainPair) -> None:
    """Make sure that the contexts are such as the method needs.

    Raises:
        RecipeError: it works between domains and there is one, or a context is something else; or it looks at
            unlabelled images, which have no context that is derived from a label.
    """
    name = recipe.algorithm.name
    if algorithm.between_domains and (pair.num_contexts < 2 or not pair.by_domain):
        what = f"{pair.name} is one" if pair.by_domain else f"data.context is {pair.context_kind}"
        raise RecipeError(
            f"algorithm.name: {name} works between two domains, and {what}; "
            "give data.source and data.target, or another algorithm"
        )
    if algorithm.uses_target and not pair.by_domain and pair.target.context is None:
        raise RecipeError(
            f"data.context: {pair.context_kind} is derived from labels, and the unlabelled images that {name} learns "
            "from have none; use cluster or domain, or algorithm: supervised"
        )


def _require_classes(algorithm: Algorithm, recipe: Recipe, pair: DomainPair) -> None:
    """Make sure that a method that expects all classes on the target gets them.

    Raises:
        RecipeError: the target has fewer, and it would spread its predictions over all of them.
    """
    if pair.fewer_classes and algorithm.uses_target and not algorithm.takes_fewer_classes:
        raise RecipeError(
            f"data.target_classes: fewer: {recipe.algorithm.name}, as it is set up, expects all of the source's "
            "classes on the target and has no form for fewer; use adamatch or mcc, which weigh the classes anew, or "
            "fixmatch or source_only, which take no notice of how frequent they are"
        )


def build_trainer(
    recipe: Recipe,
    algorithm: Algorithm,
    pair: DomainPair,
    tracker: Tracker,
    checkpoints: Path,
    data: Data | None = None,
) -> Trainer:
    """Return the recipe's trainer, ready for the first step; ``data`` are the pair's fingerprints."""
    height, width = pair.source.images.shape[2:]
    loader = DomainLoader(
        pair,
        Augment(recipe.augment, flips=pair.flips, size=(height, width)),
        source_batch=recipe.train.source_batch,
        target_batch=recipe.train.target_batch if algorithm.uses_target else 0,
        strong=algorithm.uses_strong,
        generator=torch.Generator().manual_seed(recipe.seed),
        device=next(algorithm.parameters()).device,
    )
    optimizer = build_optimizer(recipe.optimizer, algorithm)
    schedule = build_schedule(recipe.schedule, optimizer, recipe.train.total_steps)
    return Trainer(
        algorithm,
        pair,
        loader,
        optimizer,
        schedule,
        config=recipe.train,
        evaluation=recipe.evaluate,
        tracker=tracker,
        checkpoints=checkpoints,
        origin=origin_of(recipe, data),
        network=interface_of(pair, algorithm.model, uses_target=algorithm.uses_target).model_dump(mode="json"),
    )
