"""EATA: entropy minimized on rows that are reliable and tell something new."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dacn.deploy.adapt.tent import Tent, entropy
from dacn.models.classifier import Classifier


def reliable(entropies: Tensor, margin: float) -> Tensor:
    """Return which rows have an entropy below the margin. Shape: ``(B,)`` to ``(B,)`` bool."""
    return entropies < margin


def different(probabilities: Tensor, mean: Tensor, margin: float) -> Tensor:
    """Return which predictions are not like the running mean: cosine below the margin. Shape: ``(B, K)``, ``(K,)``.

    >>> different(torch.eye(2), torch.tensor([1.0, 0.0]), 0.4)
    tensor([False,  True])
    """
    return F.cosine_similarity(mean[None], probabilities, dim=1).abs() < margin


class Eata(Tent):
    """EATA: TENT on the rows with ``H < 0.4 ln K`` that are unlike the mean prediction, each weighed ``exp(E0 - H)``.

    The order is TENT's; a batch without such a row is predicted and teaches nothing. The running mean of the
    predictions of the rows that were learned from moves by 0.1 a batch; the first batch has no mean yet.

    Departures: the regularizer that keeps weights where the source needs them is left out, since there is no source.
    The authors call that ETA.

    Args:
        model, row: see `Adapter`.
        margin: E0 as a share of ln K.
        similar: cosine to the running mean from which a row tells nothing new; the authors' for 10 and 100 classes.
            They take 0.05 for ImageNet's 1,000.
        lr: of SGD with momentum 0.9.

    Reference: Niu et al. 2022, arXiv 2204.02610; their code, `eata.py`.
    """

    def __init__(
        self, model: Classifier, row: int, *, margin: float = 0.4, similar: float | None = None, lr: float = 1e-3
    ) -> None:
        super().__init__(model, row, lr=lr)
        classes = model.head.out_features
        self.margin = margin * math.log(classes)
        self.similar = similar if similar is not None else 0.4 if classes <= 100 else 0.05
        self.mean: Tensor | None = None  # (K,)

    def new_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer as it starts."""
        return torch.optim.SGD(self.parameters, lr=self.lr, momentum=0.9)

    @torch.enable_grad()
    def step(self, x: Tensor) -> Tensor:
        """Predict a batch, then take one step on the rows that count, if there are any."""
        scores = self.forward(x)
        entropies, probabilities = entropy(scores), scores.detach().softmax(1)
        counts = reliable(entropies.detach(), self.margin)
        if self.mean is not None:
            counts &= different(probabilities, self.mean, self.similar)
        if counts.any():
            used = entropies[counts]
            self.descend((used * (self.margin - used.detach()).exp()).mean())
            mean = probabilities[counts].mean(0)
            self.mean = mean if self.mean is None else 0.9 * self.mean + 0.1 * mean
        return scores.detach()

    def reset(self) -> None:
        """Go back to the start."""
        super().reset()
        self.mean = None
