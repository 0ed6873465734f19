"""The train part of a recipe."""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator

from dacn.config import Config

CPU_BATCH = {"source_batch": 32, "target_ratio": 2}
"""What most of the results in docs/results.md were measured with."""


class TrainConfig(Config):
    """How long, how much at a time, and how."""

    steps: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="updates of the weights; null: 200 passes over the target's training images, at least 1,000 and at "
        "most 131,072 steps, and on a CPU no more than 20 minutes hold. The run's own recipe.yaml has the number",
        examples=[5000],
    )
    minutes: float | None = Field(
        None,
        gt=0,
        le=1_000_000,
        description="how long the run may take, in place of `steps`: a step and an evaluation are measured before the "
        "first one, and as many steps as the time holds become the run's `steps`",
        examples=[20],
    )
    source_batch: int = Field(
        64,
        ge=1,
        le=65_536,
        description="source images a step; on a CPU 32, with 64 of the target, where a recipe says neither this nor "
        "the ratio nor `steps`: in the same time more and smaller steps learn more",
    )
    target_ratio: int = Field(3, ge=1, le=64, description="target images for each source image")
    ema: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="decay of the averaged weights that are evaluated; at most 1 - 10 / steps where a recipe says "
        "neither this nor `steps`",
    )
    ema_start: Literal["model", "zero"] = Field(
        "model", description="where the average starts; zero: as AdaMatch's authors do it, whose short runs look broken"
    )
    ema_statistics: bool = Field(
        True,
        description="average running statistics too; false: as FixMatch's authors do it, the network's own are used",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 on a GPU that has it, else fp32")
    compile: bool | Literal["auto", "graphs"] = Field(
        "auto",
        description="torch.compile; auto: on a GPU; graphs: there too, and a whole step is replayed as one CUDA graph",
    )
    micro_batches: int = Field(
        1,
        ge=1,
        le=1024,
        description="parts that a step's images are passed through the network in, to save memory; their gradients "
        "add up to one update, while batch statistics, class marginals and thresholds are each part's own",
    )
    checkpoint_gradients: bool = Field(
        False,
        description="keep no activations inside the backbone's blocks but compute them anew for the backward pass: "
        "less memory, one more forward",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each label that goes to all classes alike, in the labelled images' loss"
    )
    log_every: int = Field(50, ge=1, description="steps between logged lines")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.steps is not None and self.minutes is not None:
            raise ValueError(f"train.steps {self.steps} and train.minutes {self.minutes:g} both say how long: give one")
        return self

    @property
    def total_steps(self) -> int:
        """Updates of the weights, of a run whose length is known: `dacn.run.length` fixes it before anything starts."""
        assert self.steps is not None
        return self.steps

    def lasting(self, steps: int) -> Self:
        """Return the same for so many steps, over which the average spans a tenth at most if it was left open too."""
        span = {} if "ema" in self.model_fields_set else {"ema": min(self.ema, round(max(0.0, 1 - 10 / steps), 4))}
        return self.model_copy(update={"steps": steps, "minutes": None, **span})

    def on_a_cpu(self) -> Self:
        """Return the same with batches for a CPU, if length and batches were left open."""
        open_end = self.steps is None and not {"source_batch", "target_ratio"} & self.model_fields_set
        return self.model_copy(update=CPU_BATCH) if open_end else self

    @property
    def target_batch(self) -> int:
        """Target images a step."""
        return self.source_batch * self.target_ratio

    @property
    def images(self) -> int:
        """Images a step, of both domains; each is seen in two views."""
        return self.source_batch + self.target_batch

    def bf16_on(self, device: torch.device) -> bool:
        """Whether the network is passed under autocast in bfloat16 there, in training and in evaluation."""
        if self.precision == "auto":
            return device.type == "cuda" and torch.cuda.is_bf16_supported()
        return self.precision == "bf16"

    def compiles_on(self, device: torch.device) -> bool:
        """Whether the network goes through torch.compile there."""
        return self.compile is True or (self.compile is not False and device.type == "cuda")

    def graphs_on(self, device: torch.device) -> bool:
        """Whether the whole step is replayed as a CUDA graph there."""
        return self.compile == "graphs" and device.type == "cuda"
