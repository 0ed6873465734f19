"""The affine map of each context's rows and its gradient, which is written out here for all devices.

Forward is one pass over the activations; backward is one for the sums of ``dy * x_hat`` and of ``dy`` over each
context, and one that writes ``dx = a[c] * dy + b[c] * x + c[c]``. Between them only tables, ``(K, C)``, are handled.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dacn.nn.passes.passes import Passes


class ContextAffine(torch.autograd.Function):
    """``(x - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c]``, as `dacn.nn.functional.context_affine` has it.

    It can be differentiated once; torch refuses to do so twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor,
        bias: Tensor,
        r: Tensor | None,
        d: Tensor | None,
        passes: Passes,
        eps: float,
        batch_statistics: bool,
        *made_of: Tensor,
    ) -> Tensor:
        """Return the output; every table of one type, which ``passes``, made of the last tensors, was made for."""
        ctx.passes, ctx.batch_statistics, ctx.corrected = passes, batch_statistics, r is not None
        ctx.shared = weight.ndim == 1, bias.ndim == 1
        passes = passes.with_tensors(*made_of)
        x = passes.arrange(x)
        inv_std = torch.rsqrt(var + eps)  # (K, C)
        gain, offset = weight, bias  # (K, C) or (C,)
        if r is not None and d is not None:
            gain, offset = r * weight, torch.addcmul(bias, d, weight)
        scale = gain * inv_std
        y = passes.affine(x, scale, torch.addcmul(offset, mean, scale, value=-1))
        correction = () if r is None else (r, d)
        ctx.save_for_backward(x, mean, inv_std, scale, *correction, *made_of)
        return passes.restore(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, mean, var, weight and bias."""
        x, mean, inv_std, scale, *others = ctx.saved_tensors
        correction, made_of = (others[:2], others[2:]) if ctx.corrected else ([], others)
        passes: Passes = ctx.passes.with_tensors(*made_of)
        dy = passes.arrange(grad_y, like=x)
        product, total = passes.sums(dy, x, mean, inv_std)  # (K, C), those of this process
        grad_x = grad_mean = grad_var = None
        if not ctx.batch_statistics:
            # y = (x - mean) * scale + shift, so both gradients follow from the two sums.
            grad_mean = -scale * total
            grad_var = -0.5 * scale * inv_std * product
            if ctx.needs_input_grad[0]:  # a network's first layer is given images
                grad_x = passes.restore(passes.affine(dy, scale, torch.zeros_like(scale)))
        elif ctx.needs_input_grad[0]:
            # BatchNorm: dx = scale * (dy - E[dy] - x_hat * E[dy * x_hat]), arranged as scale * dy + b * x + c.
            part = scale * passes.minus_per_sample()
            b = part * inv_std * passes.over_processes(product)
            c = torch.addcmul(part * passes.over_processes(total), b, mean, value=-1)
            grad_x = passes.restore(passes.combine(dy, x, scale, b, c))
        grad_weight = product
        if ctx.corrected:
            r, d = correction
            grad_weight = torch.addcmul(r * product, d, total)
        weight_is_shared, bias_is_shared = ctx.shared
        grad_weight = grad_weight.sum(0) if weight_is_shared else grad_weight
        grad_bias = total.sum(0) if bias_is_shared else total
        rest = (None,) * (5 + len(made_of))  # r and d carry no gradient
        return grad_x, grad_mean, grad_var, grad_weight, grad_bias, *rest
