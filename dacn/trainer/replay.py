"""A training step as one CUDA graph: captured once, then replayed by a single call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from dacn.algorithms.base import Losses
from dacn.batch import Batch, copy_of, tensors_of
from dacn.errors import RunError
from dacn.trainer.step import TrainingStep

WARM_UP = 3
"""Steps made without a graph first: in these the compiler compiles, libraries choose their kernels, and the optimizer
makes its state. They are steps of the training like all others."""


class ReplayedStep:
    """A `TrainingStep` whose work on the device is captured as a CUDA graph, and replayed from then on.

    Captured are forwards, losses, backward, the optimizer's update and the average's. Whatever they read has a fixed
    place: a batch is copied there, and the host fills in progress, learning rates, the limits of renormalization and
    the average's pace; it waits for nothing. Random numbers come from the device's own generator, which a graph
    advances as the plain step does, so a run goes on from a checkpoint of either.

    Views are made outside, by the loader: for up to 32 batches at once, with the calls of one. In the graph, each step
    would make those of its own batch, in about a thousand small kernels.

    On a CPU there are no graphs, and a replay calls the step's function on the same fixed places.

    Args:
        step: what to replay. Its tensors may not be replaced while it is replayed.

    Raises:
        RunError: the step cannot be captured; from the call that tries to.
    """

    def __init__(self, step: TrainingStep) -> None:
        self.step = step
        self.pace = torch.zeros((), device=step.device)
        self.rates = [torch.zeros((), device=step.device) for _ in step.optimizer.param_groups]
        on_gpu = step.device.type == "cuda"
        self.stream = torch.cuda.Stream(step.device) if on_gpu else None  # type: ignore[no-untyped-call]
        self.batch: Batch | None = None
        self.replay: Callable[[], Losses] | None = None
        self.warming_up = WARM_UP

    def __call__(self, batch: Batch, done: float) -> Losses:
        """Do one step and return its losses, which the next one overwrites; ``done`` is as in `TrainingStep`."""
        self._fill_in(batch, done)
        if self.warming_up:
            self.warming_up -= 1
            losses = self._beside(self._learn)
        else:
            self.replay = self.replay or self._captured()
            losses = self.replay()
        self.step.schedule.step()
        return losses

    def forget(self) -> None:
        """Capture anew, after warming up, since what the step does has changed."""
        self.replay, self.warming_up = None, WARM_UP

    def _fill_in(self, batch: Batch, done: float) -> None:
        """Write what is new in a step to the places where it is read."""
        self.step.begin(done)
        self.pace.fill_(self.step.ema.begin_update())
        for rate, group in zip(self.rates, self.step.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        if self.batch is None:
            self.batch = copy_of(batch)
        torch._foreach_copy_(tensors_of(self.batch), tensors_of(batch))

    def _learn(self) -> Losses:
        assert self.batch is not None
        with _rates_in_place(self.step.optimizer, self.rates):
            return self.step.learn(self.batch, self.pace)

    def _beside(self, function: Callable[[], Losses]) -> Losses:
        """Call it on the stream that the graph will be captured on."""
        if self.stream is None:
            return function()
        current = torch.cuda.current_stream(self.step.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            losses = function()
        current.wait_stream(self.stream)
        return losses

    def _captured(self) -> Callable[[], Losses]:
        """Return what replays the step."""
        if self.stream is None:
            return self._learn
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                losses = self._learn()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RunError(
                f"train.compile: graphs cannot capture this training step ({_first_reason(error)}); a step that is "
                "replayed must not ask for a value of the GPU, nor draw from a generator of its own; use auto"
            ) from error

        def replay() -> Losses:
            graph.replay()
            return losses

        return replay


@contextmanager
def _rates_in_place(optimizer: torch.optim.Optimizer, rates: list[Tensor]) -> Iterator[None]:
    """Have the optimizer read its learning rates from the device.

    They are numbers otherwise, so that schedules and checkpoints are those of any other run.
    """
    before = [dict(group) for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
        if "capturable" in group:
            group["capturable"] = True
    try:
        yield
    finally:
        for group, former in zip(optimizer.param_groups, before, strict=True):
            group.update(former)


def _first_reason(error: BaseException) -> str:
    """Return the first line of what went wrong first: ending a capture that has failed fails too."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]
