"""What a recipe would do here, found by reading its images and training a few steps that are thrown away."""

import time
from dataclasses import dataclass
from typing import Any

import torch

from dacn.bench.memory import peak_megabytes
from dacn.bench.timing import wait_for
from dacn.bench.whole_run import estimate
from dacn.data.domain import DomainPair
from dacn.doctor.trial import trainer_of
from dacn.recipe.recipe import Recipe
from dacn.run.build import build_algorithm, pair_of
from dacn.run.length import with_length
from dacn.trainer.trainer import Trainer

PATIENCE = 20.0
"""Seconds after which no further step is begun; two are made in any case."""
GROUPS = 3  # of the batches that the loader makes at once; the first warms up


@dataclass(frozen=True)
class DryRun:
    """What a run would be.

    Args:
        recipe: every key of it.
        length: where the number of steps comes from, if the recipe leaves it open.
        pair: its images.
        images: of both domains a step.
        source_passes, target_passes: how often training goes through a domain.
        step_seconds: what a step takes; the average of ``measured`` steps.
        whole: what `dacn.bench.whole_run.estimate` reckons.
        megabytes: the most memory that was in use at once, of the process or the GPU; None where nobody counts it.
        parameters: of the network.
    """

    recipe: Recipe
    length: str | None
    pair: DomainPair
    images: tuple[int, int]
    source_passes: float
    target_passes: float
    step_seconds: float
    measured: int
    whole: dict[str, Any]
    megabytes: float | None
    parameters: int


def rehearse(recipe: Recipe, device: torch.device, pair: DomainPair | None = None) -> DryRun:
    """Read a recipe's images, train a few steps and evaluate once, on ``device``; nothing is downloaded or kept.

    Raises:
        DacnError: what training would stop with before its first step.
    """
    offline = None if recipe.data is None else recipe.data.model_copy(update={"download": False})
    pair = pair_of(recipe.model_copy(update={"data": offline}), pair)
    recipe, length = with_length(recipe, build_algorithm(recipe, pair).to(device), pair.to(device))
    steps = recipe.train.total_steps
    with trainer_of(recipe, pair, device) as trainer:
        measured, seconds = _timed_steps(trainer)
        batch = next(trainer.loader)
        tests = [test for test in (pair.source_test, pair.target_test) if test is not None]
        whole = estimate(recipe, trainer, batch, seconds, sum(map(len, tests)), brief=True)
        source, target = trainer.loader.images - trainer.loader.target_batch, trainer.loader.target_batch
        return DryRun(
            recipe,
            length,
            pair,
            images=(source, target),
            source_passes=steps * source / len(pair.source),
            target_passes=steps * target / len(pair.target),
            step_seconds=seconds,
            measured=measured,
            whole=whole,
            megabytes=peak_megabytes(device),
            parameters=sum(p.numel() for p in trainer.algorithm.model.parameters()),
        )


def _timed_steps(trainer: Trainer) -> tuple[int, float]:
    """Train for a few steps; return how many were timed and the seconds of one.

    The first of the batches that are made at once has the work of all, so whole groups are timed.
    """
    together = trainer.loader.together
    began, times = time.perf_counter(), list[float]()
    while len(times) < GROUPS * together and (len(times) < 2 or time.perf_counter() - began < PATIENCE):
        start = time.perf_counter()
        trainer.train_step(next(trainer.loader))
        wait_for(trainer.device)
        trainer.step = min(trainer.step + 1, trainer.config.total_steps - 1)
        times.append(time.perf_counter() - start)
    counted = times[together:] if len(times) >= 2 * together else times[1:]
    counted = counted[: len(counted) // together * together] or counted
    return len(counted), sum(counted) / len(counted)
