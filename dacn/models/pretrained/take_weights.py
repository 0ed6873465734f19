"""Weights of a file put into a network whose names and sizes may differ, with a report of what did not fit."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dacn.errors import DataError

LEAST = 0.5
"""The share of a network's numbers that a file must give: with less it is taken for another network's."""


@torch.no_grad()
def take_weights(net: nn.Module, weights: Mapping[str, Tensor], head: Collection[str], file: Path) -> list[str]:
    """Put weights into ``net`` in place, and return what to tell of those that did not fit; nothing if all did.

    Args:
        net: the network without its head.
        weights: names and tensors. One beginning common to the names, such as ``module.`` or ``backbone.net.``, is left
            off where the network knows them without it.
        head: names of the layer that the network has lost: left out, whatever its size.
        file: where they come from.

    Raises:
        DataError: they are another network's, for they give less than `LEAST` of the numbers.
    """
    own = net.state_dict(keep_vars=True)
    prefix = common_prefix(weights, {*own, *head})
    named = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    fitting = {name for name, tensor in named.items() if name in own and own[name].shape == tensor.shape}
    values = {name: tensor.numel() for name, tensor in own.items() if tensor.is_floating_point()}  # no counters
    share = sum(count for name, count in values.items() if name in fitting) / max(1, sum(values.values()))
    if share < LEAST:
        raise DataError(
            f"model.backbone.pretrained: {file}: gives {100 * share:.0f} % of the network's weights, so it is another "
            f"network's; it has {_some(weights)}, the network {_some(own)}; set another model.backbone.arch"
        )
    for name in fitting:
        own[name].copy_(named[name])
    resized = [name for name in named if name in own and name not in fitting]
    return [
        f"model.backbone.pretrained: {file}: {text}"
        for names, text in (
            ([name for name in values if name not in named], "lacks {}, which start at random"),
            (
                [f"{name} {_shape(named[name])} where the network has {_shape(own[name])}" for name in resized],
                "of another size, so these start at random: {}",
            ),
            ([name for name in named if name not in own and name not in head], "the network has no place for {}"),
        )
        if names
        for text in (text.format(_some(names)),)
    ]


def common_prefix(names: Iterable[str], known: Collection[str]) -> str:
    """Return what most names begin with beyond a known name.

    >>> common_prefix(["module.fc.weight", "module.fc.bias", "epoch"], {"fc.weight", "fc.bias"})
    'module.'
    """
    found: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in known:
                found["".join(f"{part}." for part in parts[:cut])] += 1
    return found.most_common(1)[0][0] if found else ""


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "()"


def _some(names: Iterable[str], most: int = 4) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
