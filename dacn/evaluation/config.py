"""The evaluate part of a recipe."""

from typing import Annotated, Literal

from pydantic import Field

from dacn.config import Config


class EvaluateConfig(Config):
    """When to evaluate, and what chooses a checkpoint: never a target label."""

    every: int | None = Field(
        None, ge=1, description="steps between evaluations; null: a tenth of training", examples=[500]
    )
    select: Literal[
        "mutual_information",
        "soft_neighborhood_density",
        "batch_nuclear_norm",
        "negative_entropy",
        "source_accuracy",
        "last",
    ] = Field(
        "mutual_information",
        description="the score that chooses: of predictions on the target's training images, of the source's test set "
        "(source_accuracy), or simply the last checkpoint",
    )
    milestones: tuple[Annotated[float, Field(gt=0, lt=100)], ...] = Field(
        (), description="test accuracies in percent; the summary tells after how many updates each was first measured"
    )
    flips: bool = Field(
        False, description="show every test image mirrored too and average the probabilities, in predictions as well"
    )
    figures: bool = Field(
        True, description="draw figures/ and TensorBoard's pictures; a grid of many short runs ends sooner without"
    )
    batch_size: int = Field(500, ge=1, le=100_000, description="images at a time")
