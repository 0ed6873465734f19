"""A run evaluated, whether it was trained or adapted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dacn.data.fingerprint import differences, fingerprint
from dacn.deploy.adapt.labelled import accuracies, read_test
from dacn.deploy.loading import checkpoint_of, load_run
from dacn.errors import DataError
from dacn.run import evaluation as trained
from dacn.trainer.checkpoint import load_checkpoint

TEST = "data.target_test.folder="
"""What --set says of an adapted run: where the labelled images of its domain lie now."""


def evaluate_run(
    run: Path | str,
    checkpoint: str = "selected",
    device: str = "auto",
    overrides: Sequence[str] = (),
    *,
    other_data: bool = False,
) -> dict[str, Any]:
    """Evaluate a run on its test sets: see `dacn.run.evaluation.evaluate_run`.

    An adapted run needs no data of its training. It is evaluated on the labelled images of its domain, those that
    `dacn adapt --test` named or others, under every context that it knows; ``matrix`` has their accuracies.

    Args:
        run: the run folder.
        checkpoint: ``last`` or ``selected``.
        device: ``auto``, ``cpu`` or ``cuda``.
        overrides: ``key.path=value`` each, in place of the recipe's; of an adapted run
            ``data.target_test.folder=DIR`` alone.
        other_data: evaluate on other images than the run's own too; a warning says so.

    Raises:
        DataError: there is no such run or checkpoint, or the images are not its own, or of other classes.
    """
    run = Path(run)
    if not (run / "recipe.yaml").is_file() or not load_checkpoint(checkpoint_of(run, checkpoint)).get("adapted"):
        return trained.evaluate_run(run, checkpoint, device, overrides, other_data=other_data)
    network = load_run(run, checkpoint, device)
    facts = network.adapted
    wrong = [text for text in overrides if not text.startswith(TEST)]
    if wrong:
        raise DataError(f"--set {wrong[0]}: of an adapted run only {TEST}DIR can be set, its labelled images")
    given = overrides[-1].removeprefix(TEST) if overrides else facts.get("test")
    if given is None:
        raise DataError(
            f"{run}: was adapted without labelled images to test on; name some: --set {TEST}DIR --other-data"
        )
    test = read_test(Path(given), network)
    then, now = facts.get("test_images"), fingerprint(test, network.classes)
    doubt = None
    if then != now:
        doubt = f"{given}: other images than those that {run} was tested on"
        if then is not None and not other_data:
            raise DataError(f"{doubt}: {differences({'test': then}, {'test': now})[0]}; --other-data takes these too")
    under = accuracies(network, test)
    return {
        "recipe": network.recipe.name,
        "seed": network.recipe.seed,
        "checkpoint": checkpoint,
        "step": network.step,
        "source": None,
        "target": under[network.contexts[-1]],
        "matrix": {f"target_data/{name}": value for name, value in under.items()},
        "adapted": dict(facts),
        "warnings": [] if doubt is None or then is None else [doubt],
    }
