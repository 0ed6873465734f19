"""Whether the run ends in a time that somebody waits for."""

from collections.abc import Callable, Iterator

import torch

from dacn.doctor.finding import Finding, warning
from dacn.recipe.recipe import Recipe
from dacn.trainer.estimate import LONG_SECONDS, at_a_step, in_words


def ends_soon(recipe: Recipe, pace: float, device: torch.device) -> Iterator[Finding]:
    """Training takes a few hours at most on a CPU; ``pace`` is the measured seconds of a step."""
    steps = recipe.train.total_steps
    if device.type == "cpu" and steps * pace > LONG_SECONDS:
        yield warning(
            f"training will take about {in_words(steps * pace)} on this CPU: {steps:,} steps at {at_a_step(pace)}",
            "schedules follow the number of steps, so that a run that is stopped early is no shorter run but a part",
            "train",
            "{minutes: 20} in place of steps, or a GPU",
        )


LENGTH_CHECKS: dict[str, Callable[[Recipe, float, torch.device], Iterator[Finding]]] = {"length": ends_soon}
