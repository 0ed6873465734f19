"""A fixed affine map, taken into the weights of the layer beside it where that is exact."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d


def scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return what a BatchNorm in evaluation multiplies by and then adds, ``(C,)`` each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is None:
        return scale, -norm.running_mean * scale
    return norm.weight * scale, norm.bias - norm.running_mean * norm.weight * scale


def into_layer_before(layer: nn.Module, norm: _BatchNorm, channels_last: bool) -> nn.Module | None:
    """Return a layer with the norm of its output in its weights, or None where it does not take it."""
    if isinstance(layer, Conv) and not channels_last:
        return fuse_conv_bn_eval(layer, norm)
    # As in torch's own fusion, a linear layer's output before a norm of its width is taken to be (B, C).
    if isinstance(layer, nn.Linear) and layer.out_features == norm.num_features:
        return fuse_linear_bn_eval(layer, norm)
    return None


def into_layer_after(layer: nn.Module, norm: _BatchNorm, channels_last: bool) -> nn.Module | None:
    """Return a layer with the norm of its input in its weights, or None where it does not take it.

    A convolution that pads does not: it pads with zeros after the norm, to which the norm's shift does not apply.
    """
    scale, shift = scale_and_shift(norm)  # (C,)
    if isinstance(layer, nn.Linear) and channels_last:
        bias = layer(shift)  # (out,), what the shift alone becomes
        weight = layer.weight * scale
    elif isinstance(layer, Conv) and not channels_last and layer.padding in ("valid", (0,) * len(layer.kernel_size)):
        one = (1,) * len(layer.kernel_size)
        window = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        bias = layer(shift.view(1, -1, *one).expand(1, -1, *window)).flatten()  # (out,)
        of_group = scale.view(layer.groups, 1, -1).expand(-1, layer.out_channels // layer.groups, -1)
        weight = layer.weight * of_group.reshape(layer.out_channels, -1, *one)
    else:
        return None
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = nn.Parameter(weight), nn.Parameter(bias)
    return fused
