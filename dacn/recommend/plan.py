"""How many steps short runs can be given, so that all methods get as many and the time holds."""

import math
from collections.abc import Mapping

from dacn.errors import RecipeError
from dacn.run.length import Pace

START = 10.0
"""Seconds that a process takes before it reads its images."""
LEAST_STEPS = 100
"""Steps below which a network has hardly begun to learn."""
_SPARE = 0.9  # of the time is planned; the rest is for what was measured too short


def plan_steps(paces: Mapping[str, Pace], runs: int, seconds: float, start: float, most: int) -> int:
    """Return how many steps every run gets: as many for one method as for another.

    Args:
        paces: of each method.
        runs: of each method, one a seed; each is evaluated once.
        seconds: that are left for all runs together.
        start: seconds before the first step of a run.
        most: steps that the recipe has.

    Raises:
        RecipeError: the time is too short for steps that tell anything; the message says how long it would take.

    >>> plan_steps({"a": Pace(0.01, 1), "b": Pace(0.03, 1)}, runs=2, seconds=100, start=10, most=1800)
    575
    """
    fixed = runs * sum(start + pace.evaluation for pace in paces.values())
    of_all = runs * sum(pace.step for pace in paces.values())  # one step of each run
    steps = int((_SPARE * seconds - fixed) / of_all)
    least = min(LEAST_STEPS, most)
    if steps < least:
        minutes = math.ceil(10 * (fixed + least * of_all) / _SPARE / 60) / 10
        raise RecipeError(
            f"--minutes: what is left, {seconds / 60:.1f}, is too short for {len(paces)} methods with {runs} seeds "
            f"each: {least} steps of each take about {minutes:g} minutes here; give more, or fewer --methods or "
            "--seeds"
        )
    return min(steps, most)
