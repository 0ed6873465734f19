"""Which domain feature vectors come from."""

from collections.abc import Sequence

from torch import Tensor, nn


class Discriminator(nn.Module):
    """Linear layers with ReLU between them, and one logit at the end: above 0 where a row looks like the target.

    The sigmoid is left to the loss.

    Args:
        in_features: F.
        hidden: widths of the hidden layers; the paper has (100,) for digits and (1024, 1024) for larger networks.

    Shape: features ``(B, F)``; returns ``(B,)``.

    Reference: Ganin et al. 2016, arXiv 1505.07818, section 5.2.
    """

    def __init__(self, in_features: int, hidden: Sequence[int] = (100,)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(in_features, width), nn.ReLU()]
            in_features = width
        self.layers = nn.Sequential(*layers, nn.Linear(in_features, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.layers(features).squeeze(1)
        return logits
