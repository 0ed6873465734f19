"""A run that is stopped by Ctrl-C amid a step."""

import signal
from typing import Any

import pytest

from dacn.batch import Batch
from dacn.trainer.trainer import Trainer


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Have the step that follows so many send SIGINT; it is finished, and the run stops."""
    step = Trainer.train_step

    def interrupted(self: Trainer, batch: Batch) -> Any:
        if self.step == steps:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
