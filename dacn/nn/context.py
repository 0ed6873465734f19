"""How the context travels: an explicit argument, handed to the children that take it."""

from torch import Tensor, nn


def takes_context(module: nn.Module) -> bool:
    """Whether ``module.forward`` is called as ``(x, context)``: it says so by ``takes_context = True``."""
    return bool(getattr(module, "takes_context", False))


class ContextSequential(nn.Sequential):
    """`torch.nn.Sequential` that hands the context to the children that take it.

    Args:
        x: the input of the first child.
        context: int64 context of each row; None at inference when it is unknown.

    Shape: context ``(B,)``.

    >>> import torch
    >>> from dacn.nn import AdaptiveContextNorm
    >>> net = ContextSequential(AdaptiveContextNorm(3, num_contexts=2), nn.Flatten())
    >>> net(torch.rand(4, 3, 8, 8), torch.tensor([0, 0, 1, 1])).shape
    torch.Size([4, 192])
    """

    takes_context = True

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the last child's output."""
        for module in self:
            x = module(x, context) if takes_context(module) else module(x)
        return x
