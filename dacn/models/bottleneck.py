"""The layer between a backbone and the head, which adaptation on photographs works on."""

from collections.abc import Callable

from torch import Tensor, nn

from dacn.nn import takes_context


class Bottleneck(nn.Module):
    """A linear layer, the recipe's norm and a ReLU.

    Args:
        in_features: F, of the backbone.
        out_features: W.
        norm: makes the normalization layer for a number of channels.

    Shape: features ``(B, F)``, context ``(B,)``; returns ``(B, W)``.

    Reference: CDAN, arXiv 1705.10667, and the Transfer-Learning-Library: 256 features under ResNet-50.
    """

    takes_context = True

    def __init__(self, in_features: int, out_features: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.out_features = out_features
        self.linear = nn.Linear(in_features, out_features)
        self.norm = _of_vectors(norm(out_features))

    def forward(self, features: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the features that the head sees."""
        x: Tensor = self.linear(features)  # (B, W)
        x = self.norm(x, context) if takes_context(self.norm) else self.norm(x)
        return x.relu()


def _of_vectors(norm: nn.Module) -> nn.Module:
    """Return torch's BatchNorm of vectors for that of maps; every other layer takes both."""
    if not isinstance(norm, nn.BatchNorm2d):
        return norm
    return nn.BatchNorm1d(norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
