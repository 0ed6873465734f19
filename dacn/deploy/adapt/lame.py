"""LAME: the predictions of a batch corrected by those of its nearest neighbours; the network stays as it is."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dacn.deploy.adapt.adapter import Adapter
from dacn.models.classifier import Classifier

STEPS, TOLERANCE = 100, 1e-8


def neighbours(features: Tensor, count: int) -> Tensor:
    """Return a matrix with a one where column j is among the nearest other features of row i. Shape: ``(B, F)``.

    Distances are Euclidean between features of unit length; returns ``(B, B)``.
    """
    unit = F.normalize(features, dim=1)
    distance = torch.cdist(unit, unit).fill_diagonal_(torch.inf)
    nearest = distance.topk(min(count, len(unit) - 1), largest=False).indices  # (B, k)
    return torch.zeros_like(distance).scatter_(1, nearest, 1.0)


def corrected(probabilities: Tensor, affinity: Tensor) -> Tensor:
    """Return the predictions that are near the given ones and alike among neighbours.

    The fixed point of ``z_i ~ q_i exp(sum_j w_ij z_j)``, from z = q, each row normalized; reached where the energy
    ``sum z (log z - log q - w z)`` no longer changes.

    Shape: probabilities ``(B, K)``, affinity ``(B, B)``; returns ``(B, K)``.

    >>> one_neighbour = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> corrected(torch.tensor([[0.9, 0.1], [0.45, 0.55]]), one_neighbour).argmax(1)
    tensor([0, 0])
    """
    log_q = (probabilities + 1e-10).log()
    z, before = log_q.softmax(1), torch.inf
    for step in range(STEPS):
        pull = affinity @ z  # (B, K)
        z = (log_q + pull).softmax(1)
        energy = float((z * (z.clamp_min(1e-20).log() - log_q - pull)).sum())
        if step > 1 and abs(energy - before) <= TOLERANCE * abs(before):
            break
        before = energy
    return z


class Lame(Adapter):
    """LAME: no training. A batch's predictions are pulled to those of each image's five nearest neighbours in it.

    It helps where classes come in blocks, and costs accuracy where they do not. Nothing is learned from a batch for the
    next, and there is no network to keep: it works on streams alone.

    Args:
        model, row: see `Adapter`.
        count: neighbours k.

    Reference: Boudiaf et al. 2022, arXiv 2201.05718; their code's kNN affinity, which is not made symmetric.
    """

    def __init__(self, model: Classifier, row: int, *, count: int = 5) -> None:
        super().__init__(model, row)
        self.count = count

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """Return the logarithms of the corrected predictions."""
        features = self.model.features(x, self.rows(x))
        probabilities = self.model.head(features).softmax(1)
        if len(x) < 2:
            alone: Tensor = probabilities.log()
            return alone
        pulled: Tensor = corrected(probabilities, neighbours(features, self.count)).clamp_min(1e-20).log()
        return pulled

    def reset(self) -> None:
        """Nothing was learned."""
