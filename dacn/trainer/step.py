"""What one step of training is; what a run does between steps is the trainer's."""

import torch

from dacn.algorithms.base import Algorithm, Losses, mean_losses
from dacn.batch import Batch, micro_batches
from dacn.nn import open_renorm, renorm_layers
from dacn.trainer.config import TrainConfig
from dacn.trainer.distributed import parallel, without_averaging
from dacn.trainer.ema import MovingAverage


class TrainingStep:
    """One step of training, whatever the algorithm: losses, gradients, an update of the weights and of their average.

    Args:
        algorithm: makes the losses; on its device.
        optimizer, schedule: of the algorithm's parameters.
        ema: the average of the algorithm's model.
        config: micro-batches and precision.

    Attributes:
        progress: share of training done, a float64 scalar on the device, which is filled in before each step: whatever
            follows from it is computed there, and a step that was captured once reads it anew.
        bf16: whether the losses are computed in bfloat16 where that is precise enough.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        ema: MovingAverage,
        config: TrainConfig,
    ) -> None:
        self.algorithm, self.optimizer, self.schedule = algorithm, optimizer, schedule
        self.ema, self.config = ema, config
        self.device = next(algorithm.parameters()).device
        self.bf16 = config.bf16_on(self.device)
        self.parallel = parallel(algorithm)
        self.opening = renorm_layers(algorithm)
        self.progress = torch.zeros((), dtype=torch.float64, device=self.device)

    def __call__(self, batch: Batch, done: float) -> Losses:
        """Do one step and return its losses; ``done`` is the share of training before it, 0 to 1."""
        self.begin(done)
        losses = self.learn(batch, self.ema.begin_update())
        self.schedule.step()
        return losses

    def begin(self, done: float) -> None:
        """Bring everything that depends on the share of training done up to date."""
        if not self.algorithm.training:  # telling every module takes as long as a small layer: not at every step
            self.algorithm.train()
        open_renorm(self.opening, done)
        self.progress.fill_(done)

    def learn(self, batch: Batch, pace: float | torch.Tensor) -> Losses:
        """Do the part of a step that happens on the device; the average goes ``pace`` of its way, 0 to 1."""
        *first, last = micro_batches(batch, self.config.micro_batches)
        with without_averaging(self.parallel):
            losses = [self.backward(part) for part in first]
        losses.append(self.backward(last))
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.follow(self.algorithm.model, pace)
        return mean_losses(losses)

    def backward(self, batch: Batch) -> Losses:
        """Add the gradient of a micro-batch's share of the loss."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            losses: Losses = self.parallel(batch, self.progress)  # the only line that knows that adaptation exists
        (losses.total / self.config.micro_batches).backward()  # type: ignore[no-untyped-call]
        return losses._replace(total=losses.total.detach())
