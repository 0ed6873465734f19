"""Which norm layers of a network the recipe's norm replaces."""

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.errors import RecipeError, did_you_mean
from dacn.nn.convert.layout import norm_layers


def choose_norm_layers(net: nn.Module, where: Sequence[str] | None, arch: str) -> list[str]:
    """Return the names of the norm layers that ``where`` means, in the network's order.

    Args:
        net: the network.
        where: class names and names in the network, ``*`` for any part of one. None: every BatchNorm, so that a network
            with LayerNorm alone keeps it. Empty: none.
        arch: what to call the network in messages.

    Raises:
        RecipeError: a norm layer named in ``where`` is not there.
    """
    present = norm_layers(net)
    if where is None:
        return [name for name, layer in present.items() if isinstance(layer, _BatchNorm)]
    kinds = {name: type(layer).__name__ for name, layer in present.items()}
    chosen: set[str] = set()
    for pattern in where:
        names = {name for name in present if pattern == kinds[name] or fnmatchcase(name, pattern)}
        if not names:
            hint = did_you_mean(pattern, [*kinds.values(), *present])
            raise RecipeError(
                f"model.backbone.where: {arch} has no norm layer {pattern!r}{hint} (it has {list_kinds(net)})"
            )
        chosen |= names
    return [name for name in present if name in chosen]


def list_kinds(net: nn.Module) -> str:
    """Return the kinds of norm layers in a network with their numbers, such as ``LayerNorm (18)``."""
    kinds = Counter(type(layer).__name__ for layer in norm_layers(net).values())
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.items()) or "none"
