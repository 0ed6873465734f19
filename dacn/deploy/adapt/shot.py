"""SHOT: the features move until the fixed head is sure of them and uses all of its classes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dacn.deploy.adapt.tent import Tent, entropy
from dacn.models.classifier import Classifier


def information_loss(logits: Tensor) -> Tensor:
    """Return the mean entropy of the predictions minus the entropy of their mean, in nats. Shape: ``(B, K)`` to ``()``.

    >>> information_loss(torch.tensor([[9.0, -9.0], [-9.0, 9.0]])).item() < -0.69  # sure, and of both classes
    True
    """
    mean = logits.softmax(1).mean(0)  # (K,)
    return entropy(logits).mean() + (mean * (mean + 1e-5).log()).sum()


def pseudo_labels(features: Tensor, probabilities: Tensor) -> Tensor:
    """Return the class whose centroid of features each image is nearest to, by the cosine.

    Features get a constant 1 and unit length. The first centroids are means weighed by the probabilities, the second
    those of the images that the first ones gave to a class. Classes that nobody is given to have none.

    Shape: features ``(N, F)``, probabilities ``(N, K)``; returns ``(N,)`` int64.
    """
    ones = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    unit = F.normalize(ones, dim=1)  # (N, F + 1)
    weights, labels = probabilities, probabilities.argmax(1)
    present = torch.ones(probabilities.shape[1], dtype=torch.bool, device=labels.device)
    for _ in range(2):
        centroids = weights.T @ unit / (1e-8 + weights.sum(0)[:, None])  # (K, F + 1)
        if weights is probabilities:  # the labels are still the predictions
            present = torch.bincount(labels, minlength=len(present)) > 0
        likeness = (unit @ F.normalize(centroids, dim=1).T).masked_fill(~present, -torch.inf)
        labels = likeness.argmax(1)
        weights = F.one_hot(labels, len(present)).to(unit.dtype)
    return labels


class Shot(Tent):
    """SHOT: information maximization and pseudo-labels move all weights but the head's.

    Before each pass over the images every one gets one of `pseudo_labels` by the network as it stands; the loss of a
    batch is `information_loss` plus 0.3 times the cross-entropy to them. Known contexts share what moves, so the
    network that is left is for the new images alone.

    Departures: our heads are plain linear layers, and nobody trained the network for this (the authors train theirs
    with label smoothing 0.1 and a weight-normalized head); one rate for all weights.

    Args:
        model, row: see `Adapter`.
        weight: of the pseudo-labels' cross-entropy.
        lr: of SGD with Nesterov momentum 0.9 and weight decay 1e-3.

    Reference: Liang et al. 2020, arXiv 2002.08546.
    """

    def __init__(self, model: Classifier, row: int, *, weight: float = 0.3, lr: float = 1e-3) -> None:
        super().__init__(model, row, lr=lr)
        self.parameters: list[nn.Parameter] = [
            p for name, p in model.named_parameters() if name.partition(".")[0] not in ("head", "context_net")
        ]
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.weight, self.shared = weight, True
        self.optimizer = self.new_optimizer()
        self.labels: Tensor | None = None  # (N,)

    def new_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer as it starts."""
        return torch.optim.SGD(self.parameters, lr=self.lr, momentum=0.9, nesterov=True, weight_decay=1e-3)

    def learn(self, x: Tensor, labels: Tensor) -> None:
        """Take one step on a batch with its pseudo-labels. Shape: x ``(B, 3, H, W)``, labels ``(B,)`` int64."""
        with torch.enable_grad():
            scores = self.forward(x)
            self.descend(information_loss(scores) + self.weight * F.cross_entropy(scores, labels))
