"""Scores that may select a checkpoint: none uses a target label, and higher is better for each.

Which of them to trust is a question of its own: all are logged at every evaluation, whichever one chooses.
Reference: Musgrave et al. 2022, arXiv 2208.07360, compares them.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dacn.losses.information import mutual_information


def soft_neighborhood_density(probabilities: Tensor, temperature: float = 0.05) -> Tensor:
    """Return how many others each image's prediction is close to: the mean entropy of its similarities, in nats.

    Row i's neighbours are the other rows, weighted by a softmax of the cosine similarity of the predictions. Clusters
    that are dense and large give a high entropy, up to ``log(N - 1)``. So does a network that gives all images the same
    prediction: the score tells models apart that do their task.

    Args:
        probabilities: class probabilities.
        temperature: of the softmax.

    Shape: probabilities ``(N, K)``; returns ``()``. Time and memory grow with N squared.

    Reference: Saito et al. 2021, arXiv 2108.10860, equations 1 and 2. As in the authors' code a row is -1 alike to
    itself, which leaves it practically no weight.
    """
    unit = F.normalize(probabilities)  # (N, K)
    similarity = (unit @ unit.T).fill_diagonal_(-1.0)  # (N, N)
    weights = (similarity / temperature).softmax(dim=1)
    density: Tensor = torch.special.entr(weights).sum(dim=1).mean()
    return density


def batch_nuclear_norm(probabilities: Tensor) -> Tensor:
    """Return the sum of the singular values of the predictions, as a share of the most it can be.

    It is 1 where every prediction is sure and all classes are equally frequent, and falls with either. The paper
    divides by N instead, which ranks the same.

    Shape: probabilities ``(N, K)``; returns ``()``.

    Reference: Cui et al. 2020, arXiv 2003.12237, equation 8; as a validator Musgrave et al. 2022, arXiv 2208.07360.

    >>> batch_nuclear_norm(torch.eye(3))
    tensor(1.)
    """
    most = (len(probabilities) * min(probabilities.shape)) ** 0.5
    share: Tensor = torch.linalg.matrix_norm(probabilities, "nuc") / most
    return share


def negative_entropy(probabilities: Tensor) -> Tensor:
    """Return minus the mean entropy of the predictions, in nats: 0 where all are sure, however wrong.

    Shape: probabilities ``(N, K)``; returns ``()``.

    Reference: Musgrave et al. 2022, arXiv 2208.07360.
    """
    entropy: Tensor = torch.special.entr(probabilities).sum(dim=1).mean()
    return -entropy


VALIDATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "mutual_information": mutual_information,
    "soft_neighborhood_density": soft_neighborhood_density,
    "batch_nuclear_norm": batch_nuclear_norm,
    "negative_entropy": negative_entropy,
}
"""Name to a function of the target's probabilities ``(N, K)``."""

SOURCE_ACCURACY = "source_accuracy"
"""The one score that is not of the target's images: percent right on the source's test set, or, without one, on its
training images."""
