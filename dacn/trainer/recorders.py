"""Which recorders there are, by the names that recipes use."""

from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from dacn.errors import RecipeError
from dacn.trainer.event_file import EventFile
from dacn.trainer.mlflow_run import MlflowRun
from dacn.trainer.recorder import Recorder
from dacn.trainer.wandb_run import WandbRun

RecorderName = Literal["tensorboard", "wandb", "mlflow"]


def require_recorders(names: Sequence[str]) -> None:
    """Make sure, before a run begins, that what will record it is installed.

    Raises:
        RecipeError: it is not; the message has the command that installs it.
    """
    for name in names:
        missing = False
        with suppress(ValueError):  # a module that was put in place by hand has no spec
            missing = name != "tensorboard" and find_spec(name) is None
        if missing:
            raise RecipeError(f"tracking: {name} is not installed here: pip install 'dacn[{name}]'")


def open_recorders(names: Sequence[str], out: Path, start: int, classes: Sequence[str] = ()) -> list[Recorder]:
    """Return the recorders of a run.

    Args:
        names: which.
        out: the run folder.
        start: steps already done.
        classes: what TensorBoard calls the elements of vectors that have as many.
    """
    return [_open(name, out, start, classes) for name in names]


def _open(name: str, out: Path, start: int, classes: Sequence[str]) -> Recorder:
    if name == "wandb":
        return WandbRun(out, start)
    return MlflowRun(out, start) if name == "mlflow" else EventFile(out / "tensorboard", start, classes)
