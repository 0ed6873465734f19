"""What may be asked of predictions on images without labels. T target rows, K classes."""

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from dacn.nn.precision import without_autocast

TargetTerms = Annotated[
    dict[Literal["bnm", "entropy", "mcc"], Annotated[float, Field(gt=0, le=1000)]],
    Field(
        description="further losses on the target's predictions, each with its weight: mcc (minimum class confusion), "
        "bnm (batch nuclear norm), entropy",
        examples=[{"mcc": 1.0}],
    ),
]


def minimum_class_confusion(logits: Tensor, temperature: float = 2.5, class_weights: Tensor | None = None) -> Tensor:
    """Return how much classes are confused, the mean over classes of what a class shares with the others.

    ``p = softmax(z / temperature)``; rows weigh ``1 + exp(-H(p))``, scaled to mean 1 and detached; of
    ``C = (w p)^T p``, each row divided by its sum, the off-diagonal sum over K.

    Args:
        logits: of the target.
        temperature: of the softmax.
        class_weights: of each class in the mean over classes; None: all alike.

    Shape: logits ``(T, K)``, T of about 32 or more, class_weights ``(K,)``; returns ``()``.

    Reference: MCC, arXiv 1912.03699, equations 3 to 8.

    >>> minimum_class_confusion(1000 * torch.eye(3))
    tensor(0.)
    """
    with without_autocast(logits):
        p = (_wide(logits) / temperature).softmax(dim=1)
        certainty = certainty_weights(p.detach())  # (T,)
        confusion = (p * certainty[:, None]).T @ p  # (K, K)
        confusion = confusion / confusion.sum(dim=1, keepdim=True)
        shared = confusion.sum(dim=1) - confusion.diagonal()  # (K,)
        return shared.mean() if class_weights is None else (shared * class_weights).sum() / class_weights.sum()


def certainty_weights(probabilities: Tensor) -> Tensor:
    """Return weights of rows, more for sure ones: ``1 + exp(-H(p))``, scaled to mean 1.

    Shape: probabilities ``(N, K)``; returns ``(N,)``.

    Reference: CDAN, arXiv 1705.10667, section 3.3; MCC, arXiv 1912.03699, equation 6.

    >>> certainty_weights(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    tensor([1.1429, 0.8571])
    """
    weights = 1 + torch.exp(-torch.special.entr(probabilities).sum(dim=1))
    return weights / weights.mean()


def negative_nuclear_norm(probabilities: Tensor) -> Tensor:
    """Return minus the sum of singular values of the predictions over T: low when they are sure and diverse.

    Shape: probabilities ``(T, K)``; returns ``()``.

    Reference: BNM, arXiv 2003.12237, equation 9.

    >>> negative_nuclear_norm(torch.eye(2)).round(decimals=4)
    tensor(-1.)
    """
    norm: Tensor = torch.linalg.matrix_norm(_wide(probabilities), "nuc")
    return -norm / len(probabilities)


def mean_entropy(logits: Tensor) -> Tensor:
    """Return the mean entropy of the rows' predictions in nats.

    Shape: logits ``(T, K)``; returns ``()``.

    Reference: Grandvalet and Bengio 2005, Semi-supervised learning by entropy minimization.
    """
    log_p = _wide(logits).log_softmax(dim=1)  # whose gradient is finite where a probability is 0
    return -(log_p.exp() * log_p).sum(dim=1).mean()


def target_terms(weights: Mapping[str, float], logits: Tensor) -> dict[str, Tensor]:
    """Return the named losses of target logits, each times its weight.

    Shape: logits ``(T, K)``; returns scalars ``()``.
    """
    made = {
        "mcc": lambda: minimum_class_confusion(logits),
        "bnm": lambda: negative_nuclear_norm(logits.softmax(dim=1)),
        "entropy": lambda: mean_entropy(logits),
    }
    return {name: weight * made[name]() for name, weight in weights.items()}


def asks_device(weights: Collection[str]) -> bool:
    """Return whether one of the named losses asks for the value of a tensor, as singular values do."""
    return "bnm" in weights


def expect_all_classes(weights: Collection[str]) -> bool:
    """Return whether one of the named losses asks for every class on the target, or weighs them all alike."""
    return not {"bnm", "mcc"}.isdisjoint(weights)


def _wide(x: Tensor) -> Tensor:
    """Return x in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
