"""Learning-rate schedules over the actual number of steps."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field

from dacn.config import Config

WarmUp = Annotated[float, Field(ge=0, lt=1, description="share of training in which the rate rises linearly from 0")]


class CosineConfig(Config):
    """``cos(arccos(end) * t)``: AdaMatch with end 0.25, FixMatch with end cos(7/16 pi) = 0.195."""

    name: Literal["cosine"] = "cosine"
    end: float = Field(0.25, ge=0, le=1, description="last learning rate as a share of the first")
    warm_up: WarmUp = 0.0


class InverseConfig(Config):
    """``1 / (1 + alpha t)^power``: DANN, arXiv 1505.07818; with gamma 0.001, as benchmarks on photographs have it."""

    name: Literal["inverse"] = "inverse"
    alpha: float = Field(10.0, ge=0, le=1e6, description="how fast the rate falls")
    gamma: float | None = Field(
        None,
        ge=0,
        le=1e6,
        description="how fast it falls with each step, however many there are, in place of alpha; null: by alpha",
        examples=[0.001],
    )
    power: float = Field(0.75, ge=0, le=10, description="how far the rate falls")
    warm_up: WarmUp = 0.0


class ConstantConfig(Config):
    """The same learning rate throughout."""

    name: Literal["constant"] = "constant"
    warm_up: WarmUp = 0.0


AnyScheduleConfig = Annotated[CosineConfig | InverseConfig | ConstantConfig, Field(discriminator="name")]


def rate(config: CosineConfig | InverseConfig | ConstantConfig, progress: float, steps: int = 1) -> float:
    """Return the learning rate at ``progress`` (0 to 1) of so many steps, as a share of the base rate.

    >>> rate(CosineConfig(end=0.25), 0.0), round(rate(CosineConfig(end=0.25), 1.0), 6)
    (1.0, 0.25)
    >>> round(rate(InverseConfig(gamma=0.001), 0.5, steps=20_000), 4)  # 11 ** -0.75
    0.1656
    """
    rising = min(1.0, progress / config.warm_up) if config.warm_up else 1.0
    match config:
        case CosineConfig():
            return rising * math.cos(math.acos(config.end) * progress)
        case InverseConfig():
            alpha = config.alpha if config.gamma is None else config.gamma * steps
            return float(rising * (1 + alpha * progress) ** -config.power)
        case ConstantConfig():
            return rising


def build_schedule(
    config: CosineConfig | InverseConfig | ConstantConfig, optimizer: torch.optim.Optimizer, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the schedule that ends when ``steps`` steps are done."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(config, min(1.0, step / steps), steps))
