"""Convolutions that pad by what their input's size asks for, as ones that always pad by as much."""

import torch
from torch import Tensor, nn


def fix_same_padding(model: nn.Module, x: Tensor, context: int) -> None:
    """Replace in ``model`` each convolution with TensorFlow's "same" padding, whose arithmetic no graph can hold.

    timm's ``tf_`` networks have them (``timm.layers.Conv2dSame``): how much is padded follows from the size of the
    input, and with a stride of 2 it may be one pixel more to the right and below.

    Args:
        model: called in evaluation as ``model(x, context)``; changed in place.
        x: an input of the size that the network will get from now on.
        context: any that it knows.
    """
    named = {name: layer for name, layer in model.named_modules() if _is_same(layer)}
    sizes: dict[str, tuple[int, int]] = {}

    def remember(name: str, given: Tensor) -> None:
        height, width = given.shape[-2:]
        sizes[name] = (height, width)

    hooks = [
        layer.register_forward_pre_hook(lambda _, args, name=name: remember(name, args[0]))
        for name, layer in named.items()
    ]
    if named:
        model(x, torch.full((len(x),), context, device=x.device))
    for hook in hooks:
        hook.remove()
    for name, size in sizes.items():  # one that the network never calls has none
        layer = named[name]
        assert isinstance(layer, nn.Conv2d)
        model.set_submodule(name, _padding_by_as_much(layer, size))


def _is_same(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and type(layer).__name__ == "Conv2dSame"


def _padding_by_as_much(layer: nn.Conv2d, size: tuple[int, int]) -> nn.Module:
    """Return the layer for inputs ``(N, C, *size)``; where the two sides differ, zeros are a layer before it."""
    total = [
        max((-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
        for length, kernel, stride, dilation in zip(size, layer.kernel_size, layer.stride, layer.dilation, strict=True)
    ]
    even = all(pixels % 2 == 0 for pixels in total)
    conv = nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,  # type: ignore[arg-type]
        tuple(pixels // 2 for pixels in total) if even else 0,  # type: ignore[arg-type]
        layer.dilation, layer.groups, bias=False, device="meta",  # type: ignore[arg-type]
    )  # fmt: skip
    conv.weight, conv.bias = layer.weight, layer.bias
    conv.train(layer.training)
    if even:
        return conv
    (top, bottom), (left, right) = ((pixels // 2, pixels - pixels // 2) for pixels in total)
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), conv)
