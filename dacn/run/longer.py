"""Whether a run that has begun may end at another step than it was meant to."""

from pathlib import Path

from dacn.errors import RecipeError
from dacn.recipe.recipe import Recipe
from dacn.trainer.schedule import rate


def require_other_length(checkpoint: Path, step: int, before: Recipe, now: Recipe) -> str:
    """Make sure that a run goes on under another ``train.steps`` as if it had always been so long.

    The learning rate at ``step`` must be the same under both lengths, as it is with a constant schedule.

    Args:
        checkpoint: its file, for the message.
        step: steps done.
        before, now: the recipe of the run and the one to go on with.

    Returns:
        What to warn of: methods and layers may follow the share of training that is done, which changes.

    Raises:
        RecipeError: it cannot; the message says why.
    """
    old, new = before.train.total_steps, now.train.total_steps
    if new < step:
        raise RecipeError(f"--resume: {checkpoint} has done {step:,} steps already, and train.steps is {new:,}")
    then, here = (rate(now.schedule, min(1.0, step / steps)) for steps in (old, new))
    if abs(then - here) > 1e-9:
        raise RecipeError(
            f"--resume: {checkpoint} is of a run of {old:,} steps, and train.steps is {new:,} now. Its schedule, "
            f"{now.schedule.name}, is spread over all of them: after step {step:,} the learning rate is at "
            f"{100 * then:.1f} % in the one and at {100 * here:.1f} % in the other, so that to go on would be neither. "
            "Train anew with another --out; a run with schedule: constant can be made longer at any time"
        )
    return (
        f"a run of {old:,} steps goes on to {new:,}: {100 * step / new:.0f} % of training are done, which were "
        f"{100 * step / old:.0f} %; what a method or a layer makes of that share, such as a weight that rises, changes"
    )
