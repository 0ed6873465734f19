"""Optimizers, with weight decay where the methods put it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dacn.config import Config
from dacn.trainer.parameters import freeze, rate_factors

LearningRate = Annotated[float, Field(gt=0, le=100, description="learning rate before the schedule")]
WeightDecay = Annotated[float, Field(ge=0, lt=1, description="on convolution and linear weights only")]


class OptimizerConfig(Config):
    """What every optimizer has: which weights learn, and at which share of the rate."""

    backbone_lr: float = Field(
        1.0, gt=0, le=100, description="factor of the learning rate for the backbone, 0.1 for pretrained weights"
    )
    layer_decay: float | None = Field(
        None,
        gt=0,
        le=1,
        description="factor from each block of the backbone to the one before it, for transformers; null: none",
        examples=[0.75],
    )
    freeze: tuple[str, ...] = Field(
        (),
        description="parameters that stay as they are, by their names in the network, * for any part; running "
        "statistics go on",
        examples=[["backbone.net.layer1.*"]],
    )
    clip: float | None = Field(
        None, gt=0, description="norm that all gradients together are scaled down to; null: no limit", examples=[1.0]
    )


class SgdConfig(OptimizerConfig):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    lr: LearningRate = 0.03
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last update that goes on")
    nesterov: bool = Field(False, description="look ahead along the momentum (Nesterov)")
    weight_decay: WeightDecay = 1e-3


class AdamWConfig(OptimizerConfig):
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
    """Return the optimizer of all parameters of ``module``; those that the recipe freezes ask for no gradient any more.

    Weight decay reaches the weights of convolutions and linear layers, no bias and no normalization parameter: the L2
    term of AdaMatch (arXiv 2106.04732) and FixMatch (arXiv 2001.07685), ``weight_decay * 0.5 * sum w^2`` under SGD.

    Args:
        config: which optimizer, and its options.
        module: the algorithm with its networks.

    Raises:
        RecipeError: a pattern of ``freeze`` names nothing, or ``layer_decay`` finds no blocks.
    """
    frozen = freeze(config.freeze, module)
    factors = rate_factors(config, module)
    kernels = {id(weight) for layer in module.modules() for weight in _kernels(layer)}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}  # the head's come first
    for parameter in _in_order(module):
        if parameter not in frozen:
            key = (factors.get(parameter, 1.0), id(parameter) in kernels)
            groups.setdefault(key, []).append(parameter)
    optimizer_class, _ = OPTIMIZERS[config.name]
    optimizer = optimizer_class(
        [
            {"params": parameters, "lr": config.lr * factor, **({} if decays else {"weight_decay": 0.0})}
            for (factor, decays), parameters in groups.items()
        ],
        **config.model_dump(exclude={"name", *OptimizerConfig.model_fields}),
        fused=True,  # one call for all parameters
    )
    if config.clip is not None:
        optimizer.register_step_pre_hook(partial(_clip, config.clip))
    return optimizer


def _clip(limit: float, optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Scale the gradients down so that their common norm is at most ``limit``; the host does not wait for it."""
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], limit)


def _in_order(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield kernels layer by layer and then all else, each once: the order in which checkpoints have them."""
    kernels = [weight for layer in module.modules() for weight in _kernels(layer)]
    yield from dict.fromkeys([*kernels, *module.parameters()])  # type: ignore[misc]


def _kernels(layer: nn.Module) -> list[Tensor]:
    """Return the weights that a layer itself multiplies activations by, without those of its children."""
    if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
        return [layer.weight]
    if isinstance(layer, nn.MultiheadAttention):  # its three linear maps are bare parameters, as one or one by one
        stacked = (layer.in_proj_weight, layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
        return [weight for weight in stacked if weight is not None]
    return []
