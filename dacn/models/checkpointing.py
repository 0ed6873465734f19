"""Gradient checkpointing: a block's activations are computed anew for its backward pass, in place of being kept."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    _CHECKPOINT_PREFIX,
    CheckpointImpl,
    checkpoint_wrapper,
)
from torch.nn.modules.batchnorm import _BatchNorm

from dacn.errors import RecipeError
from dacn.models.blocks import block_names
from dacn.nn import ContextNorm, LatentContextNorm, MixtureNorm

Buffers = dict[str, Tensor | None]


def checkpoint_blocks(backbone: nn.Module) -> None:
    """Have every block of a backbone keep only its input, in place; names in its state dict stay as they are.

    The second pass sees the norm layers as the first one found them, and leaves no trace in them.

    Args:
        backbone: whose blocks are called as modules.

    Raises:
        RecipeError: it has no blocks that repeat, or a norm layer fits a mixture in its forward pass.

    Reference: Chen et al. 2016, arXiv 1604.06174.
    """
    names = block_names(backbone)
    if not names:
        raise RecipeError(
            "train.checkpoint_gradients: the backbone has no blocks that repeat, which it would compute anew; drop it, "
            "or take a transformer, a ResNet or a ConvNeXt"
        )
    fitted = [layer for layer in backbone.modules() if isinstance(layer, MixtureNorm | LatentContextNorm)]
    if fitted:
        raise RecipeError(
            f"train.checkpoint_gradients: a {type(fitted[0]).__name__} may give another output when it is computed "
            "anew; use bn, cn or acn"
        )
    for name in names:
        block = backbone.get_submodule(name)
        again = checkpoint_wrapper(block, CheckpointImpl.NO_REENTRANT, context_fn=partial(_two_passes, block))
        backbone.set_submodule(name, again)


def plain_name(name: str) -> str:
    """Return a parameter's name as the state dict has it.

    >>> plain_name("backbone.blocks.0._checkpoint_wrapped_module.norm1.weight")
    'backbone.blocks.0.norm1.weight'
    """
    return name.replace(_CHECKPOINT_PREFIX, "")


def _two_passes(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return contexts for a block's first pass and for the second one."""
    layers: list[nn.Module] = [layer for layer in block.modules() if isinstance(layer, _BatchNorm | ContextNorm)]
    found: list[tuple[Buffers, Any]] = []
    return _remembering(layers, found), _as_found(layers, found)


@contextmanager
def _remembering(layers: list[nn.Module], found: list[tuple[Buffers, Any]]) -> Iterator[None]:
    found += [(_copies(layer._buffers), getattr(layer, "track_running_stats", None)) for layer in layers]
    yield


@contextmanager
def _as_found(layers: list[nn.Module], found: list[tuple[Buffers, Any]]) -> Iterator[None]:
    """Put back what the first pass found, on copies, and then what is there now."""
    now = [(dict(layer._buffers), getattr(layer, "track_running_stats", None)) for layer in layers]
    _put(layers, [(_copies(buffers), tracking) for buffers, tracking in found])
    try:
        yield
    finally:
        _put(layers, now)


def _put(layers: list[nn.Module], states: list[tuple[Buffers, Any]]) -> None:
    for layer, (buffers, tracking) in zip(layers, states, strict=True):
        layer._buffers.update(buffers)
        if tracking is not None:
            layer.track_running_stats = tracking


def _copies(buffers: Buffers) -> Buffers:
    return {name: None if buffer is None else buffer.clone() for name, buffer in buffers.items()}
