"""The blocks that a network repeats: transformers, ResNets, EfficientNets and ConvNeXts are made of them."""

from collections.abc import Iterator

from torch import nn


def blocks_to_the_end(backbone: nn.Module) -> dict[str, int]:
    """Return for each parameter, by name: 0 after the last block, 1 in it, and so on to N + 1 before the first of N.

    What lies between two blocks goes with the later one.

    Args:
        backbone: with blocks that repeat, as transformers, ResNets and ConvNeXts have.

    Returns:
        Nothing where no block repeats.

    Reference: BEiT, arXiv 2106.08254, whose rates fall by a factor from each layer to the one before.

    >>> blocks = nn.Sequential(*(nn.TransformerEncoderLayer(4, 1, 4) for _ in range(3)))
    >>> found = blocks_to_the_end(nn.Sequential(nn.Linear(3, 4), blocks, nn.LayerNorm(4)))
    >>> [found[name] for name in ("0.weight", "1.0.linear1.weight", "1.2.norm2.bias", "2.weight")]
    [4, 3, 1, 0]
    """
    starts = [f"{name}." for name in block_names(backbone)]
    found, inside, passed = dict[str, int](), "", 0
    for name, _ in backbone.named_parameters():
        block = next((start for start in starts if name.startswith(start)), "")
        passed += block not in ("", inside)
        inside = block
        depth = passed + (block == "" and passed > 0)  # 0 before the first block, n in the n-th
        found[name] = len(starts) + 1 - depth
    return found if starts else {}


def block_names(network: nn.Module) -> list[str]:
    """Return the names of the blocks, in order; none where no block repeats."""
    return list(_blocks(network, ""))


def _blocks(module: nn.Module, name: str) -> Iterator[str]:
    """Yield the names of the innermost modules that stand in a row of their kind and multiply more than once each."""
    children = [(f"{name}.{key}" if name else key, child) for key, child in module.named_children()]
    in_a_row = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
    kinds = [type(child) for _, child in children if _is_block(child)]
    for path, child in children:
        inner = list(_blocks(child, path))
        if inner:
            yield from inner
        elif in_a_row and _is_block(child) and kinds.count(type(child)) > 1:
            yield path


def _is_block(module: nn.Module) -> bool:
    """Whether a module has several convolutions or linear maps, so that it is more than one of these and its norm."""
    return sum(isinstance(layer, nn.Linear | nn.modules.conv._ConvNd) for layer in module.modules()) > 1
