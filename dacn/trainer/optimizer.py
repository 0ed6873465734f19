"""Optimizers, with weight decay where the methods put it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dacn.config import Config

LearningRate = Annotated[float, Field(gt=0, le=100, description="learning rate before the schedule")]
WeightDecay = Annotated[float, Field(ge=0, lt=1, description="on convolution and linear weights only")]


class SgdConfig(Config):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    lr: LearningRate = 0.03
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last update that goes on")
    nesterov: bool = Field(False, description="look ahead along the momentum (Nesterov)")
    weight_decay: WeightDecay = 1e-3


class AdamWConfig(Config):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = "adamw"
    lr: LearningRate = 1e-3
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="decay of the running means of gradients and of their squares"
    )
    weight_decay: WeightDecay = 1e-2


AnyOptimizerConfig = Annotated[SgdConfig | AdamWConfig, Field(discriminator="name")]
OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], type[Config]]] = {
    "sgd": (torch.optim.SGD, SgdConfig),
    "adamw": (torch.optim.AdamW, AdamWConfig),
}


def build_optimizer(config: SgdConfig | AdamWConfig, module: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of all parameters of ``module``.

    Weight decay reaches the weights of convolutions and linear layers, no bias and no normalization parameter: the L2
    term of AdaMatch (arXiv 2106.04732) and FixMatch (arXiv 2001.07685), ``weight_decay * 0.5 * sum w^2`` under SGD.

    Args:
        config: which optimizer, and its options.
        module: the algorithm with its networks.
    """
    kernels = [weight for layer in module.modules() for weight in _kernels(layer)]
    decayed = {id(weight) for weight in kernels}
    rest = [p for p in module.parameters() if id(p) not in decayed]
    groups: list[dict[str, Any]] = [{"params": kernels}, {"params": rest, "weight_decay": 0.0}]
    optimizer_class, _ = OPTIMIZERS[config.name]
    return optimizer_class(groups, **config.model_dump(exclude={"name"}), fused=True)  # one call for all parameters


def _kernels(layer: nn.Module) -> list[Tensor]:
    """Return the weights that a layer itself multiplies activations by, without those of its children."""
    if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
        return [layer.weight]
    if isinstance(layer, nn.MultiheadAttention):  # its three linear maps are bare parameters, as one or one by one
        stacked = (layer.in_proj_weight, layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
        return [weight for weight in stacked if weight is not None]
    return []
