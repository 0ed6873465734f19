"""The evaluate part of a recipe."""

from typing import Annotated, Literal

from pydantic import Field

from dacn.config import Config


class EvaluateConfig(Config):
    """When to evaluate, and what chooses a checkpoint: never a target label."""

    every: int | None = Field(None, ge=1, description="steps between evaluations; null: a tenth of training")
    select: Literal["last", "mutual_information"] = Field(
        "mutual_information",
        description="label-free score of the target's training images, or simply the last checkpoint",
    )
    milestones: tuple[Annotated[float, Field(gt=0, lt=100)], ...] = Field(
        (), description="test accuracies in percent; the summary tells after how many updates each was first measured"
    )
    batch_size: int = Field(500, ge=1, le=100_000)
