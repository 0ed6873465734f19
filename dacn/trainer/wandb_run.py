"""A run in Weights & Biases; ``WANDB_MODE=offline`` keeps it on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from torch import Tensor

from dacn.trainer.measured import Values
from dacn.trainer.recorder import Recorder, identity, scalars

PROJECT = "dacn"
"""Where ``WANDB_PROJECT`` names no other one."""


class WandbRun(Recorder):
    """Writes numbers, pictures, settings and final numbers to Weights & Biases.

    Account, project and mode are those of wandb's own variables (``WANDB_API_KEY``, ``WANDB_PROJECT``, ``WANDB_MODE``).

    Args:
        out: the run folder; its name is the run's.
        start: steps already done; a resumed run goes on as the same one.
    """

    def __init__(self, out: Path, start: int = 0) -> None:
        import os

        import wandb

        self._wandb: Any = wandb
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=out.resolve().name,
            id=identity(out, "wandb", start, lambda: uuid4().hex),
            resume="allow",
            dir=str(out),
        )

    def log(self, step: int, values: Values) -> None:
        """Record one step's numbers."""
        self._run.log(dict(scalars(values)), step=step)

    def images(self, name: str, step: int, images: Tensor) -> None:
        """Record a picture: uint8 ``(3, H, W)``."""
        self._run.log({name: self._wandb.Image(images.permute(1, 2, 0).cpu().numpy())}, step=step)

    def hyperparameters(self, step: int, settings: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Record the run's settings, by key path, and its final numbers, by name."""
        self._run.config.update(dict(settings), allow_val_change=True)
        self._run.summary.update(dict(metrics))

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()
