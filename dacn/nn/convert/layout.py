"""What a norm layer of any network does: which channels it normalizes, and what it does besides."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

OverChannels = _BatchNorm | _InstanceNorm | nn.GroupNorm
OverLast = nn.LayerNorm | nn.RMSNorm


def norm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that are called a norm and hold no other layer with parameters, by their names."""
    return {
        name: module
        for name, module in model.named_modules()
        if "Norm" in type(module).__name__ and not any([*child.parameters()] for child in module.children())
    }


class Layout(NamedTuple):
    """Where a norm layer finds its channels, and the layers that it applies to its own output."""

    num_features: int
    channels_last: bool
    then: Sequence[nn.Module] = ()  # dropout and activation inside of timm's norm layers


def layout(name: str, source: nn.Module) -> Layout:
    """Return the layout of a norm layer, which is tried out where its class has a forward of its own.

    Args:
        name: its path in the network, for the message.
        source: torch's BatchNorm, InstanceNorm, GroupNorm, or LayerNorm and RMSNorm over one dimension; or a subclass
            whose forward does the same, perhaps on ``(B, C, H, W)``, and then what its children do; or a frozen
            BatchNorm, whose weight and statistics are buffers.

    Raises:
        ValueError: another kind of layer.
    """
    if isinstance(source, OverChannels):
        plain = type(source).forward in (_BatchNorm.forward, _InstanceNorm.forward, nn.GroupNorm.forward)
        size = source.num_channels if isinstance(source, nn.GroupNorm) else source.num_features
        if plain or isinstance(source, nn.SyncBatchNorm):
            return Layout(size, channels_last=False)
        candidates = [False]
    elif isinstance(source, OverLast) and len(source.normalized_shape) == 1:
        size = source.normalized_shape[0]
        if type(source).forward in (nn.LayerNorm.forward, nn.RMSNorm.forward):
            return Layout(size, channels_last=True)
        candidates = [False, True]
    elif _is_frozen_batch_norm(source):
        size = len(cast(Tensor, source.weight))
        candidates = [False]
    else:
        candidates = []
    then = tuple(source.children())
    for channels_last in candidates:
        if _does(source, size, channels_last):
            return Layout(size, channels_last, then)
    raise ValueError(
        f"cannot replace {name!r} ({type(source).__name__}): expected torch's BatchNorm, InstanceNorm, GroupNorm, or "
        "LayerNorm or RMSNorm over the channels alone, a subclass that does the same and then what its children do, or "
        "torchvision's FrozenBatchNorm2d and its kin; "
        "leave this layer out by where=..."
    )


def _is_frozen_batch_norm(source: nn.Module) -> bool:
    """Whether a layer keeps as buffers what a BatchNorm learns, as torchvision's FrozenBatchNorm2d does."""
    buffers = {name for name, buffer in source.named_buffers(recurse=False) if buffer.ndim == 1}
    return {"weight", "bias", "running_mean", "running_var"} <= buffers and hasattr(source, "eps")


@torch.no_grad()
def _does(source: nn.Module, size: int, channels_last: bool) -> bool:
    """Whether a layer in evaluation is its base class's forward, followed by its children."""
    twin = copy.deepcopy(source).to_empty(device="cpu").float().eval()  # the source may be on no device at all
    with torch.device("cpu"):
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.copy_(torch.linspace(0.5, 1.5, max(tensor.numel(), 1)).view_as(tensor))
        x = torch.arange(2.0 * size * 9).sin().reshape((2, 3, 3, size) if channels_last else (2, size, 3, 3))
        try:
            expected = _plain(twin, x, channels_last)
            for child in twin.children():
                expected = child(expected)
            got = twin(x.clone())  # an activation may work in place
            return isinstance(got, Tensor) and torch.allclose(got, expected, atol=1e-4, rtol=1e-4)
        except Exception:  # whatever this forward is made for, it is not this
            return False


def _plain(norm: nn.Module, x: Tensor, channels_last: bool) -> Tensor:
    """Return what torch's class of this layer makes of x."""
    if _is_frozen_batch_norm(norm):
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)  # type: ignore[arg-type]
    bases = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
    forward: Any = next(base for base in bases if isinstance(norm, base)).forward
    moved = isinstance(norm, OverLast) and not channels_last
    y: Tensor = forward(norm, x.movedim(1, -1) if moved else x)
    return y.movedim(-1, 1) if moved else y
