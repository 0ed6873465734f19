"""Which of a network's parameters learn, and at which share of the learning rate."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from dacn.errors import RecipeError, did_you_mean
from dacn.models.blocks import blocks_to_the_end
from dacn.models.checkpointing import plain_name


def freeze(patterns: Sequence[str], module: nn.Module) -> set[nn.Parameter]:
    """Have the parameters that the patterns name ask for no gradient, and return them.

    Args:
        patterns: names in the network, ``*`` for any part of one.
        module: the algorithm, or a network alone.

    Raises:
        RecipeError: a pattern that names none, or patterns that name all.
    """
    named = {plain_name(name): parameter for name, parameter in _network(module).named_parameters()}
    frozen: dict[str, nn.Parameter] = {}
    for pattern in patterns:
        found = {name: p for name, p in named.items() if fnmatchcase(name, pattern)}
        if not found:
            near = did_you_mean(pattern, [*named, *_prefixes(named)])
            listed = ", ".join(dict.fromkeys(".".join(name.split(".")[:3]) for name in named))
            raise RecipeError(
                f"optimizer.freeze: {pattern!r} names no parameter of the network{near} (they begin with "
                f"{listed[:300]}{'...' if len(listed) > 300 else ''})"
            )
        frozen |= found
    if named and len(frozen) == len(named):
        raise RecipeError("optimizer.freeze: names every parameter, so nothing would learn; leave the head out")
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    return set(frozen.values())


def rate_factors(config: Any, module: nn.Module) -> dict[nn.Parameter, float]:
    """Return the share of the learning rate of each parameter that has another one than the head's.

    Args:
        config: with ``backbone_lr`` and ``layer_decay``.
        module: the algorithm, or a network alone.

    Raises:
        RecipeError: there is a ``layer_decay``, and the backbone has no blocks to count.
    """
    backbone = getattr(_network(module), "backbone", None)
    if backbone is None or (config.backbone_lr == 1 and config.layer_decay is None):
        return {}
    passed = {} if config.layer_decay is None else blocks_to_the_end(backbone)
    if config.layer_decay is not None and not passed:
        raise RecipeError(
            "optimizer.layer_decay: the backbone has no blocks that repeat, whose rates could fall; drop it, or take a "
            "transformer, a ResNet or a ConvNeXt"
        )
    return {
        parameter: config.backbone_lr * (config.layer_decay or 1.0) ** passed.get(name, 0)
        for name, parameter in backbone.named_parameters()
    }


def _network(module: nn.Module) -> nn.Module:
    """Return the network in an algorithm."""
    network = getattr(module, "model", module)
    return network if isinstance(network, nn.Module) else module


def _prefixes(names: dict[str, nn.Parameter]) -> list[str]:
    """Return the beginnings of names followed by ``*``, such as ``backbone.net.layer1.*``."""
    parts = [name.split(".") for name in names]
    return list(dict.fromkeys(".".join([*each[:end], "*"]) for each in parts for end in range(1, len(each))))
