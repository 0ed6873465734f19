"""The layer that takes the place of another, and what it takes over from it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.errors import did_you_mean
from dacn.nn.adaptive_context_norm import AdaptiveContextNorm
from dacn.nn.adaptive_context_norm_base import AdaptiveContextNormBase
from dacn.nn.context import ContextSequential
from dacn.nn.context_batch_norm import ContextBatchNorm
from dacn.nn.context_norm import ContextNorm
from dacn.nn.convert.channels_last import ChannelsLast, make_over_last
from dacn.nn.convert.layout import layout

LAYERS: dict[str, Callable[..., ContextNorm]] = {
    "acn": partial(AdaptiveContextNorm, fit="likelihood"),  # by the task alone it collapses inside a network
    "acn_base": AdaptiveContextNormBase,
    "cn": ContextBatchNorm,
}


def maker(norm: Any, num_contexts: int | None, options: dict[str, Any]) -> Callable[[str, nn.Module], nn.Module]:
    """Return the function that makes the layer in the place of another."""
    if callable(norm):
        if options:
            raise ValueError(f"options are for a norm given by name, got {', '.join(options)} beside a function")
    elif norm not in LAYERS:
        raise ValueError(
            f"norm must be one of {', '.join(LAYERS)} or a function, got {norm!r}{did_you_mean(norm, LAYERS)}"
        )
    elif num_contexts is None:
        raise ValueError(f"norm {norm!r} needs num_contexts")

    def make(name: str, source: nn.Module) -> nn.Module:
        num_features, channels_last, then = layout(name, source)
        if callable(norm):
            layer: nn.Module = make_over_last(norm, num_features) if channels_last else norm(num_features)
        else:
            affine: Any = getattr(source, "weight", None) is not None
            defaults: dict[str, Any] = {"eps": _eps(source), "affine": affine, "channels_last": channels_last}
            momentum = {"momentum": source.momentum} if hasattr(source, "momentum") else {}
            if norm == "cn":
                defaults |= {"affine": "shared" if affine else "none"} | momentum
            elif norm == "acn" and momentum.get("momentum") == 0:  # statistics that are to stay as they are
                defaults |= {"eta": 0.0, "init": "standard"}
            layer = LAYERS[norm](num_features, num_contexts, **defaults | options)
        return ContextSequential(layer, *then) if then else layer

    return make


def device_and_dtype(*modules: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return those of the first floating-point tensor in the modules."""
    tensors = (t for module in modules for t in (*module.parameters(), *module.buffers()))
    like = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
    return like.device, like.dtype


def statistics(source: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Return the running mean and variance of a layer that has learned some."""
    mean, var = getattr(source, "running_mean", None), getattr(source, "running_var", None)
    if mean is None or var is None or mean.is_meta:
        return None
    return (mean, var) if mean.any() or (var != 1).any() else None


def _eps(source: nn.Module) -> float:
    eps: Any = source.eps
    if eps is None:  # an RMSNorm's, which then takes that of its input's type
        eps = torch.finfo(device_and_dtype(source)[1]).eps
    return float(eps)


@torch.no_grad()
def hand_on(source: nn.Module, layer: nn.Module, tied: dict[Tensor, nn.Parameter] | None = None) -> None:
    """Start every context of the layer where the source stands.

    Weight and bias are the source's own where they have its shape, and are as frozen as those in any case.

    Args:
        source, layer: the layer in the network and the one that takes its place.
        tied: what became of parameters of other shape so far, so that layers which shared them still do.
    """
    tied = {} if tied is None else tied
    if isinstance(layer, ContextSequential):  # the norm, then the activation of the source
        layer = layer[0]
    if isinstance(layer, ChannelsLast):
        layer = layer.layer
    for name in ("weight", "bias"):
        value, own = getattr(source, name, None), getattr(layer, name, None)
        if value is None or own is None:
            continue
        if own.shape == value.shape and isinstance(value, nn.Parameter):
            setattr(layer, name, value)
            continue
        if value not in tied:
            own.copy_(value)  # (C,) to each row of (K, C)
            tied[value] = own.requires_grad_(value.requires_grad)
        setattr(layer, name, tied[value])
    learned = statistics(source)
    if learned is None:
        return
    mean, var = learned  # (C,)
    eps = _eps(source)
    log_std = 0.5 * var.clamp_min(1e-6 * eps).log()  # finite for a dead channel too, whose variance is zero
    if isinstance(layer, AdaptiveContextNorm):
        layer.mean.copy_(mean)
        layer.log_std.copy_(log_std)
    elif isinstance(layer, AdaptiveContextNormBase):
        layer.mean_weight.copy_(mean - layer.mean_bias)
        layer.log_std_weight.copy_(log_std - layer.log_std_bias)
    elif isinstance(layer, ContextBatchNorm | _BatchNorm) and layer.running_mean is not None:
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(var)  # type: ignore[union-attr]
        if layer.momentum is None:  # the average goes on
            layer.num_batches_tracked.copy_(source.num_batches_tracked)  # type: ignore[union-attr, arg-type]
    else:
        return
    layer.eps = eps
    if isinstance(layer, ContextNorm):
        layer.initialized.fill_(True)
        layer.frequency.fill_(1 / layer.num_contexts)
