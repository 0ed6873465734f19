"""How many steps each method can be given: measured on a few steps of each, so that all get as many."""

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

import torch

from dacn.data.domain import DomainPair
from dacn.doctor.trial import trainer_of
from dacn.errors import RecipeError
from dacn.recipe.recipe import Recipe
from dacn.trainer.trainer import Trainer

START = 10.0
"""Seconds that a process takes before it reads its images."""
LEAST_STEPS = 100
"""Steps below which a network has hardly begun to learn."""
_ENOUGH = 2.0  # seconds of steps that tell how long one takes
_SPARE = 0.9  # of the time is planned; the rest is for what was measured too short


class Cost(NamedTuple):
    """Seconds that a method takes."""

    step: float
    evaluation: float


def measure(recipe: Recipe, pair: DomainPair, device: torch.device) -> Cost:
    """Return what a step and an evaluation of a recipe take here, on its own images."""
    with trainer_of(recipe, pair, device) as trainer:
        for _ in range(2):  # what is compiled, chosen and cached at first is not held against a run
            step, round_seconds = _round(trainer)
            if round_seconds > _ENOUGH:
                break
        began = time.perf_counter()
        trainer.evaluate()
        return Cost(step, time.perf_counter() - began)


def _round(trainer: Trainer) -> tuple[float, float]:
    """Do as many steps as views are made for at once; return the seconds of one and of all."""
    count, began, total = trainer.loader.together, time.perf_counter(), torch.zeros(())
    for _ in range(count):
        total = trainer.train_step(next(trainer.loader)).total
        trainer.step += 1
    total.item()  # waits for the device
    seconds = time.perf_counter() - began
    return seconds / count, seconds


def plan_steps(costs: Mapping[str, Cost], runs: int, seconds: float, start: float, most: int) -> int:
    """Return how many steps every run gets: as many for one method as for another.

    Args:
        costs: of each method.
        runs: of each method, one a seed.
        seconds: that are left for all runs together.
        start: seconds before the first step of a run.
        most: steps that the recipe has.

    Raises:
        RecipeError: the time is too short for steps that tell anything; the message says how long it would take.

    >>> plan_steps({"a": Cost(0.01, 1), "b": Cost(0.03, 1)}, runs=2, seconds=100, start=10, most=1800)
    575
    """
    fixed = runs * sum(start + cost.evaluation for cost in costs.values())
    of_all = runs * sum(cost.step for cost in costs.values())  # one step of each run
    steps = int((_SPARE * seconds - fixed) / of_all)
    least = min(LEAST_STEPS, most)
    if steps < least:
        minutes = math.ceil(10 * (fixed + least * of_all) / _SPARE / 60) / 10
        raise RecipeError(
            f"--minutes: what is left, {seconds / 60:.1f}, is too short for {len(costs)} methods with {runs} seeds "
            f"each: {least} steps of each take about {minutes:g} minutes here; give more, or fewer --methods or "
            "--seeds"
        )
    return min(steps, most)
