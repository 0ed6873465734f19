"""How long a run is where its recipe leaves that open: fixed before the first step, by its images, the device and time.

The number becomes the recipe's own ``train.steps``, so that schedules and ramps follow it and the run's recipe.yaml
repeats the run to the digit.
"""

import copy
import math
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from rich.console import Console

from dacn.algorithms.base import Algorithm
from dacn.data.domain import DomainPair
from dacn.nn import processes
from dacn.recipe.recipe import Recipe
from dacn.run.build import build_trainer
from dacn.trainer.config import TrainConfig
from dacn.trainer.estimate import at_a_step, in_words
from dacn.trainer.tracking import Tracker
from dacn.trainer.trainer import Trainer

PASSES = 200
"""So many times a run sees each target image, where nothing else limits it."""
FEWEST, MOST = 1_000, 131_072
CPU_MINUTES = 20.0
"""A run whose recipe leaves the length open takes no longer on a CPU."""
MEASURED_SECONDS = 5.0
"""Steps are measured until they have taken so long."""
EVALUATIONS = 10
"""Of a run whose recipe does not say how often."""
FOLLOWING = ("source_batch", "target_ratio", "ema")
"""What follows the length and the device where a recipe leaves it open as well."""
FOR_STEPS = 0.95
"""Share of the time that goes to steps and evaluations; images are read and figures drawn in the rest."""


class Pace(NamedTuple):
    """Seconds of one step and of one evaluation."""

    step: float
    evaluation: float


def with_length(recipe: Recipe, algorithm: Algorithm, pair: DomainPair) -> tuple[Recipe, str | None]:
    """Return the recipe with its number of steps, and in words where this comes from; None where the recipe says it.

    Args:
        recipe: may give ``train.steps``, ``train.minutes`` or neither.
        algorithm: built from the recipe, on its device; it stays as it is.
        pair: the images, on the same device.
    """
    given = recipe.train
    if given.steps is not None:
        return recipe, None
    on_cpu = next(algorithm.parameters()).device.type == "cpu"
    train = given.on_a_cpu() if on_cpu else given
    recipe = recipe.model_copy(update={"train": train})
    minutes, open_end = train.minutes, train.minutes is None
    steps = MOST if train.minutes else steps_of_passes(recipe, algorithm, pair)
    told = f"{steps:,} steps: {_passes(recipe, algorithm, pair, steps)}"
    if open_end and on_cpu:
        minutes = CPU_MINUTES
    if minutes is not None:
        pace = measure_pace(recipe, algorithm, pair)
        held = steps_within(60 * minutes * FOR_STEPS, pace, recipe.evaluate.every)
        if held < steps or not open_end:
            steps = held
            where = "on this CPU " if open_end else ""
            told = (
                f"{steps:,} steps: what {minutes:g} minutes hold {where}at {at_a_step(pace.step)} and "
                f"{pace.evaluation:.2g} s an evaluation, as measured"
            )
        else:
            told += f"; about {in_words(steps * pace.step + EVALUATIONS * pace.evaluation)} at {at_a_step(pace.step)}"
    if train != given:
        told += f", of {train.source_batch} + {train.target_batch} images each"
    other = "train.steps or train.minutes sets another length" if open_end else "a run's own recipe.yaml repeats them"
    return recipe.model_copy(update={"train": train.lasting(steps)}), f"{told} ({other})"


def with_stored_length(recipe: Recipe, saved: Mapping[str, Any]) -> Recipe:
    """Return the recipe as long as a checkpoint's run, and with what followed from that, where it leaves this open."""
    train = saved.get("origin", {}).get("recipe", {}).get("train", {})
    if recipe.train.steps is not None or not isinstance(train.get("steps"), int):
        return recipe
    return recipe.model_copy(update={"train": as_decided(recipe.train, train)})


def as_decided(train: TrainConfig, decided: Mapping[str, Any]) -> TrainConfig:
    """Return the config as long as was decided before, and with what followed from that, where it leaves this open.

    Args:
        train: leaves its number of steps open.
        decided: ``steps``, and any of `FOLLOWING`.
    """
    left_open = [key for key in FOLLOWING if key in decided and key not in train.model_fields_set]
    return train.lasting(decided["steps"]).model_copy(update={key: decided[key] for key in left_open})


def steps_of_passes(recipe: Recipe, algorithm: Algorithm, pair: DomainPair) -> int:
    """Return the steps of `PASSES` over the target, or over the source where the method sees no target, in bounds."""
    images, batch = _seen(recipe, algorithm, pair)
    return min(MOST, max(FEWEST, math.ceil(PASSES * images / batch), math.ceil(len(pair.source) / batch)))


def steps_within(seconds: float, pace: Pace, every: int | None) -> int:
    """Return how many steps fit into a time together with their evaluations, at least one.

    Args:
        seconds: the time.
        pace: of a step and an evaluation.
        every: steps between evaluations; None: there are ten of them.

    >>> steps_within(100.0, Pace(step=0.1, evaluation=2.0), every=None), steps_within(100.0, Pace(0.1, 1.0), every=10)
    (800, 500)
    """
    if every is not None:
        steps = seconds / (pace.step + pace.evaluation / every)
    else:
        steps = (seconds - EVALUATIONS * pace.evaluation) / pace.step
        if steps < EVALUATIONS:  # then each of them is evaluated
            steps = min(EVALUATIONS, seconds / (pace.step + pace.evaluation))
    whole = min(MOST * 1_000, max(1, int(steps + 1e-9)))
    return whole if whole < 100 else whole // EVALUATIONS * EVALUATIONS


def measure_pace(recipe: Recipe, algorithm: Algorithm, pair: DomainPair) -> Pace:
    """Return what the first steps and an evaluation take, of a copy that is thrown away; of the first process, if many.

    Random numbers stay as they were, so that a run that was measured is the same as one that was not.
    """
    like = recipe.model_copy(update={"train": recipe.train.lasting(MOST)})
    device = next(algorithm.parameters()).device
    cuda = [device] if device.type == "cuda" else []
    with TemporaryDirectory() as folder, torch.random.fork_rng(cuda):
        out = Path(folder)
        with Tracker(out, steps=MOST, console=Console(quiet=True)) as tracker:
            trainer = build_trainer(like, copy.deepcopy(algorithm), pair, tracker, out / "checkpoints")
            together = trainer.loader.together  # the first of so many steps makes the views of all
            _steps(trainer, together)  # compiles, and finds memory
            done, began = 0, _now(device)
            while not (done and processes.any_of(int(_now(device) - began > MEASURED_SECONDS))):
                _steps(trainer, together)
                done += together
            step = (_now(device) - began) / done
            began = _now(device)
            trainer._judge(trainer.evaluate())
            pace = torch.tensor([step, _now(device) - began], dtype=torch.float64, device=device)
    processes.copy_from_first(pace)
    return Pace(*pace.tolist())


def _steps(trainer: Trainer, count: int) -> None:
    for _ in range(count):
        trainer.train_step(next(trainer.loader))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _seen(recipe: Recipe, algorithm: Algorithm, pair: DomainPair) -> tuple[int, int]:
    """Return how many images are passed over, and how many of them a step has."""
    if algorithm.uses_target:
        return len(pair.target), recipe.train.target_batch
    return len(pair.source), recipe.train.source_batch


def _passes(recipe: Recipe, algorithm: Algorithm, pair: DomainPair, steps: int) -> str:
    images, batch = _seen(recipe, algorithm, pair)
    name = pair.target.name if algorithm.uses_target else pair.source.name
    return f"{steps * batch / images:,.3g} passes over the {images:,} {name} images"
