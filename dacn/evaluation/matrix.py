"""Accuracy of each domain's data under each context, and what it is computed from."""

from dataclasses import dataclass, field

import torch
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor, nn

from dacn.batch import SOURCE, TARGET
from dacn.data.augment import to_input
from dacn.data.domain import Domain, DomainPair
from dacn.evaluation.validators import VALIDATORS
from dacn.nn import ContextNorm

CELLS = {
    "source_data/source_context": SOURCE,
    "source_data/target_context": TARGET,
    "target_data/source_context": SOURCE,
    "target_data/target_context": TARGET,
    "target_data/unknown_context": None,
}
SCORED_IMAGES = 2000
"""How many of the target's training images the label-free scores are taken over."""


@dataclass(frozen=True)
class Evaluation:
    """What one network does on a pair.

    Args:
        matrix: percent right of test data under a context, by the names of `CELLS`; None where it cannot be told.
        source, target: percent right under the context that each domain is deployed with; None without a test set.
        scores: label-free scores of the target's training images, by validator.
        source_probabilities, target_probabilities: predictions on the test sets, ``(N, K)``; None without one.
    """

    matrix: dict[str, float | None]
    source: float | None
    target: float | None
    scores: dict[str, float]
    source_probabilities: Tensor | None = field(repr=False)
    target_probabilities: Tensor | None = field(repr=False)


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, context: int | None, batch_size: int) -> Tensor:
    """Return class probabilities of images that all belong to one context, or to an unknown one.

    Args:
        model: called as ``model(x, context)``; it is put in evaluation mode.
        images: bytes, on the model's device.
        context: 0 to K - 1, or None.
        batch_size: images at a time.

    Shape: images ``(N, 3, H, W)`` uint8; returns ``(N, K)`` float32.
    """
    model.eval()
    parts = []
    for rows in torch.split(images, batch_size):
        x = to_input(rows)  # (B, 3, H, W)
        contexts = None if context is None else torch.full((len(x),), context, device=x.device)
        parts.append(model(x, contexts).float().softmax(dim=1))
    return torch.cat(parts)


def evaluate(model: nn.Module, pair: DomainPair, *, uses_target: bool, batch_size: int = 500) -> Evaluation:
    """Return the context matrix, accuracies and label-free scores of ``model``.

    Args:
        model: the network to evaluate.
        pair: labels of its test sets are used to report, and nothing else.
        uses_target: whether the network was trained on target images; where not, the target's context is unknown to it.
        batch_size: images at a time.
    """
    by_context = any(isinstance(module, ContextNorm) for module in model.modules())
    known: dict[tuple[str, int | None], Tensor] = {}  # without by-context layers one prediction serves every context

    def predictions(name: str, domain: Domain, context: int | None) -> Tensor:
        key = (name, context if by_context else None)
        if key not in known:
            known[key] = predict(model, domain.images, context, batch_size)
        return known[key]

    tests = {"source_data": pair.source_test, "target_data": pair.target_test}
    matrix: dict[str, float | None] = {}
    for cell, context in CELLS.items():
        name = cell.split("/")[0]
        domain = tests[name]
        untrained = by_context and context == TARGET and not uses_target
        matrix[cell] = None if domain is None or untrained else accuracy(predictions(name, domain, context), domain)

    deployed = TARGET if uses_target else None
    chosen = torch.linspace(0, len(pair.target) - 1, min(len(pair.target), SCORED_IMAGES)).long()
    unlabelled = predict(model, pair.target.images[chosen.to(pair.target.images.device)], deployed, batch_size)
    return Evaluation(
        matrix=matrix,
        source=matrix["source_data/source_context"],
        target=matrix["target_data/target_context" if uses_target else "target_data/unknown_context"],
        scores={name: float(score(unlabelled)) for name, score in VALIDATORS.items()},
        source_probabilities=None if pair.source_test is None else predictions("source_data", pair.source_test, SOURCE),
        target_probabilities=None
        if pair.target_test is None
        else predictions("target_data", pair.target_test, deployed),
    )


def accuracy(probabilities: Tensor, domain: Domain) -> float:
    """Return the percentage of predictions ``(N, K)`` that equal the domain's labels."""
    assert domain.labels is not None
    return 100 * float((probabilities.argmax(dim=1) == domain.labels).float().mean())


def per_class(evaluation: Evaluation, pair: DomainPair) -> dict[str, dict[str, list[float]]]:
    """Return precision, recall and F1 of each class on each labelled test set, in percent."""
    tests = {
        "source": (pair.source_test, evaluation.source_probabilities),
        "target": (pair.target_test, evaluation.target_probabilities),
    }
    report = {}
    for name, (domain, probabilities) in tests.items():
        if domain is None or domain.labels is None or probabilities is None:
            continue
        precision, recall, f1, _ = precision_recall_fscore_support(
            domain.labels.cpu(), probabilities.argmax(dim=1).cpu(), labels=range(len(pair.classes)), zero_division=0.0
        )
        scores = {"precision": precision, "recall": recall, "f1": f1}
        report[name] = {score: (100 * values).round(3).tolist() for score, values in scores.items()}
    return report
