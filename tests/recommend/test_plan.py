"""How many steps fit into a time."""

import pytest

from dacn.errors import RecipeError
from dacn.recommend.plan import plan_steps
from dacn.run.length import Pace

PACES = {"one": Pace(0.02, 3.0), "other": Pace(0.08, 5.0)}


def test_all_get_as_many_steps_as_fit() -> None:
    steps = plan_steps(PACES, runs=3, seconds=600, start=10, most=10**6)
    assert steps == int((0.9 * 600 - 3 * (10 + 3 + 10 + 5)) / (3 * 0.1))
    spent = 3 * (10 + 3 + 0.02 * steps + 10 + 5 + 0.08 * steps)
    assert 530 < spent <= 0.9 * 600


def test_no_more_steps_than_the_recipe_has() -> None:
    assert plan_steps(PACES, runs=1, seconds=10**6, start=10, most=1800) == 1800
    assert plan_steps(PACES, runs=1, seconds=60, start=1, most=20) == 20


def test_a_time_that_is_too_short_is_refused_with_one_that_is_not() -> None:
    message = r"--minutes: what is left, 1\.0, is too short for 2 methods with 3 seeds each: 100 .* about 2.2 minutes"
    with pytest.raises(RecipeError, match=message):
        plan_steps(PACES, runs=3, seconds=60, start=10, most=1800)
    assert plan_steps(PACES, runs=3, seconds=60 * 2.2, start=10, most=1800) >= 100
