"""A network with one context more: every table gets a row, the others stay as they are to the bit."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.deploy.network import Network
from dacn.models.build import ModelConfig, build_model
from dacn.models.classifier import Classifier
from dacn.models.norms import CnConfig
from dacn.nn import ContextBatchNorm, ContextNorm
from dacn.nn.convert.channels_last import ChannelsLast

TABLES = ("acn", "acn_base", "bn", "cn")
"""Norms that keep a mean and a variance of each channel, which a context can have a row of."""


def context_layers(model: nn.Module) -> dict[str, ContextBatchNorm]:
    """Return the layers that keep a row for each context, by their names, in the order of the network."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, ContextBatchNorm)}


def has_tables(model: nn.Module) -> bool:
    """Whether a network keeps statistics of which a new context can have its own."""
    return any(isinstance(m, ContextNorm | _BatchNorm) and _tables(m) is not None for m in model.modules())


def with_row(network: Network, name: str) -> Network:
    """Return a copy of the network that knows one context more, which starts as the copy of the first one.

    Its layers with statistics become `ContextBatchNorm` with gamma and beta of their own for each context, whatever
    they were: in evaluation a learned Gaussian and a running mean are the same arithmetic. A BatchNorm gives every
    known context its statistics; the outputs are equal then within rounding, from a layer with contexts to the bit.

    Args:
        network: stays as it is.
        name: of the new context.
    """
    interface, config = network.interface, adapted_config(network.recipe.model)
    known = len(interface.contexts)
    model = build_model(config, len(interface.classes), known + 1, network.model.context_net, weights=False)
    _fill(network.model, model, known, interface.trained)
    recipe = network.recipe.model_copy(update={"model": config})
    wider = interface.model_copy(
        update={
            "contexts": (*interface.contexts, name),
            "trained": (*interface.trained, known),
            "fits": (*interface.fits, interface.fits[-1]),
        }
    )
    model = model.to(network.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return replace(network, model=model, interface=wider, recipe=recipe)


def adapted_config(config: ModelConfig) -> ModelConfig:
    """Return the config of the same network whose norms with statistics keep them, and an affine map, by context."""
    return config.model_copy(update={"input_norm": _own(config.input_norm), "norm": _own(config.norm)})


def _own(norm: Any) -> Any:
    if norm.name not in TABLES:
        return norm
    return CnConfig(affine="own", eps=norm.eps, momentum=getattr(norm, "momentum", 0.1))


@torch.no_grad()
def _fill(old: Classifier, new: Classifier, known: int, trained: tuple[int, ...]) -> None:
    """Give ``new`` the weights of ``old``, and each table's last row the values of its first trained one."""
    layers = context_layers(new)
    kept = {name.removesuffix(".layer"): value for name, value in old.named_modules()}
    state = {
        key: value for key, value in old.state_dict().items() if not any(key.startswith(f"{name}.") for name in layers)
    }
    new.load_state_dict(state | {key: value for key, value in new.state_dict().items() if key not in state})
    for name, layer in layers.items():
        source = kept[name]
        if isinstance(source, ChannelsLast):
            source = source.layer
        tables = _tables(source)
        assert tables is not None
        own = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        for table, values in zip(own, tables, strict=True):
            assert table is not None
            table[:known] = values  # (K, C), or (C,) for all of them
            table[known] = table[trained[0]]
        layer.initialized[[*trained, known]] = True
        if isinstance(source, ContextNorm):
            layer.frequency[:known] = source.frequency
            layer.initialized[:known] |= source.initialized
        usual = layer.frequency[[*trained]].mean()  # a new context is as likely as any other, unless nothing is known
        layer.frequency[known] = usual
        if usual == 0:
            layer.frequency.fill_(1 / (known + 1))


def _tables(layer: nn.Module) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Return mean, variance, gamma and beta of a layer in evaluation, ``(K, C)`` or ``(C,)``; None without them."""
    if isinstance(layer, ContextNorm):
        own = layer.tables()
        return *own, *layer.affine_tables(own[0])
    mean: Any = getattr(layer, "running_mean", None)
    var: Any = getattr(layer, "running_var", None)
    if mean is None or var is None:
        return None
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    ones, zeros = torch.ones_like(mean), torch.zeros_like(mean)
    return mean, var, ones if weight is None else weight, zeros if bias is None else bias


def copy_row(model: nn.Module, start: int, row: int) -> None:
    """Make one row of every table the copy of another."""
    with torch.no_grad():
        for layer in context_layers(model).values():
            for table in (layer.running_mean, layer.running_var, layer.weight, layer.bias):
                assert table is not None
                table[row] = table[start]


def with_row_alone(network: Network) -> Network:
    """Return a copy of the network that knows its last context alone, for one whose other weights moved too."""
    interface, model = network.interface, network.model
    alone = build_model(network.recipe.model, len(interface.classes), 1, weights=False)
    state, last = model.state_dict(), {}
    layers = {f"{name}." for name in context_layers(model)}
    for key in alone.state_dict():
        last[key] = state[key][-1:] if any(key.startswith(name) for name in layers) else state[key]
    alone.load_state_dict(last)
    alone = alone.to(network.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    only = interface.model_copy(
        update={
            "contexts": interface.contexts[-1:],
            "trained": (0,),
            "fits": interface.fits[-1:],
            "context_from": "domain",
        }
    )
    return replace(network, model=alone, interface=only)
