"""Trains for a few steps and records what happens; every file written is removed."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dacn.algorithms.base import Algorithm
from dacn.algorithms.context_learner import ContextLearner
from dacn.batch import SOURCE
from dacn.data.domain import DomainPair
from dacn.errors import DacnError
from dacn.nn import open_renorm
from dacn.recipe.recipe import Recipe
from dacn.run.build import build_algorithm, build_trainer
from dacn.trainer.estimate import estimate_seconds
from dacn.trainer.tracking import Tracker
from dacn.trainer.trainer import Trainer

PATIENCE = 60.0
"""Seconds that the steps may take on a CPU; where the recipe's batches would take longer, smaller ones are used."""


@dataclass
class Trial:
    """What some steps of training showed.

    Args:
        trainer: as it stands after them.
        pair: what was trained on.
        losses: the total of each step.
        labels: of the labelled images, in the order in which they were drawn.
        unreached: parameters whose gradient was zero or absent in every step.
        unknown: parameters that the optimizer does not have.
        late: what the method logs on a batch at the very end of training, by name.
        problem: what a step raised, if it did.
        step_seconds: what a step took, the first ones left out if there are others; None where one failed.
    """

    trainer: Trainer
    pair: DomainPair
    losses: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    late: dict[str, Any] = field(default_factory=dict)
    problem: Exception | None = None
    step_seconds: float | None = None

    @property
    def method(self) -> Algorithm:
        """The method, without the context classifier that may be trained beside it."""
        algorithm = self.trainer.algorithm
        return algorithm.method if isinstance(algorithm, ContextLearner) else algorithm


@contextmanager
def trainer_of(recipe: Recipe, pair: DomainPair, device: torch.device) -> Iterator[Trainer]:
    """Make the recipe's own trainer; what it may write goes to a folder that is removed.

    Steps are never replayed as a graph: whoever examines them looks at what they compute in between.
    """
    if recipe.train.compile == "graphs":
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"compile": "auto"})})
    with TemporaryDirectory() as folder:
        out = Path(folder)
        with Tracker(out, steps=recipe.train.total_steps, console=Console(quiet=True)) as tracker:
            algorithm = build_algorithm(recipe, pair)
            algorithm.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            yield build_trainer(recipe, algorithm, pair.to(device), tracker, out / "checkpoints")


def with_affordable_batches(
    recipe: Recipe, algorithm: Algorithm, pair: DomainPair, steps: int, patience: float
) -> Recipe:
    """Return the recipe, with smaller batches where ``steps`` steps would take longer than ``patience`` seconds."""
    size, views = int(pair.source.images.shape[-1]), 2 * recipe.train.images * steps
    seconds = estimate_seconds(algorithm.model, size, views)
    if seconds <= patience:
        return recipe
    least = 4 * len(torch.unique(pair.source.context_or(SOURCE)))
    batch = min(recipe.train.source_batch, max(least, int(recipe.train.source_batch * patience / seconds)))
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"source_batch": batch})})


def try_steps(trainer: Trainer, pair: DomainPair, steps: int) -> Trial:
    """Train for some steps, fewer if a loss is not finite or a step fails, and watch.

    What a step raises is kept: a broken method may raise anything, and that is what is looked for.

    Raises:
        DacnError: a user's mistake that shows only now.
    """
    trial = Trial(trainer, pair)
    parameters = {name: p for name, p in trainer.algorithm.named_parameters() if p.requires_grad}
    known = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    reached: set[str] = set()
    hooks = [_watch(name, parameter, reached) for name, parameter in parameters.items()]
    try:
        together, began = trainer.loader.together, time.perf_counter()  # the first of so many makes all their views
        for done in range(min(steps, trainer.config.total_steps)):
            if done == together:  # the first ones find memory too
                began = time.perf_counter()
            batch = next(trainer.loader)
            trial.labels += batch.labels.tolist()
            trial.losses.append(float(trainer.train_step(batch).total.detach()))
            trainer.step += 1
            if not math.isfinite(trial.losses[-1]):
                break
        counted = len(trial.losses) - together if len(trial.losses) > together else len(trial.losses)
        trial.step_seconds = (time.perf_counter() - began) / counted
        trial.late = _last_step(trainer)
    except DacnError:
        raise
    except Exception as problem:
        trial.problem = problem
    for hook in hooks:
        hook.remove()
    trial.unreached = [name for name in parameters if name not in reached]
    trial.unknown = [
        name for name, p in trainer.algorithm.named_parameters() if p.requires_grad and id(p) not in known
    ]  # made in forward, if they were not there before
    return trial


def _watch(name: str, parameter: nn.Parameter, reached: set[str]) -> RemovableHandle:
    """Note the parameter's name once a step's gradient is not all zero."""

    def note(watched: Tensor) -> None:
        if name not in reached and watched.grad is not None and bool(watched.grad.any()):
            reached.add(name)

    handle: RemovableHandle = parameter.register_post_accumulate_grad_hook(note)  # type: ignore[no-untyped-call]
    return handle


@torch.no_grad()
def _last_step(trainer: Trainer) -> dict[str, Any]:
    """Return what the method logs on a batch at the last step of training; on a copy."""
    algorithm = copy.deepcopy(trainer.algorithm).train()
    progress = (trainer.config.total_steps - 1) / trainer.config.total_steps
    open_renorm(algorithm, progress)
    parts: dict[str, Tensor] = algorithm(next(trainer.loader), progress).parts
    return {name: value.tolist() for name, value in parts.items()}
