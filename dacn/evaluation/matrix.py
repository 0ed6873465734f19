"""Accuracy of each domain's data under each context, and what it is computed from."""

from dataclasses import dataclass, field

import torch
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor, nn

from dacn.batch import SOURCE
from dacn.data.augment import to_input
from dacn.data.domain import Domain, DomainPair
from dacn.data.images import Images, batches, select
from dacn.evaluation.validators import VALIDATORS
from dacn.nn import ContextNorm

CELLS = (
    "source_data/source_context",
    "source_data/target_context",
    "target_data/source_context",
    "target_data/target_context",
    "target_data/unknown_context",
)
"""Which test data under which context. With several sources, source data has each image's own context, and target data
is shown under the first source's."""
SCORED_IMAGES = 2000
"""How many of the target's training images the label-free scores are taken over."""


@dataclass(frozen=True)
class Evaluation:
    """What one network does on a pair.

    Args:
        matrix: percent right of test data under a context, by the names of `CELLS`; None where it cannot be told.
        source, target: percent right under the context that each domain is deployed with: its own, or an unknown one
            where its own was not trained; None without a test set.
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
def predict(model: nn.Module, images: Images, context: Tensor | None, batch_size: int) -> Tensor:
    """Return class probabilities of images.

    Args:
        model: called as ``model(x, context)``; it is put in evaluation mode.
        images: bytes, on the model's device or put there once decoded.
        context: of each image, or None where it is unknown.
        batch_size: images at a time.

    Shape: images ``(N, 3, H, W)``, context ``(N,)``; returns ``(N, K)`` float32.
    """
    model.eval()
    parts = []
    for number, rows in enumerate(batches(images, batch_size)):  # (n, 3, H, W)
        start = number * batch_size
        logits = model(to_input(rows), None if context is None else context[start : start + batch_size])
        parts.append(logits.float().softmax(dim=1))
    return torch.cat(parts)


def evaluate(model: nn.Module, pair: DomainPair, *, uses_target: bool, batch_size: int = 500) -> Evaluation:
    """Return the context matrix, accuracies and label-free scores of ``model``.

    Args:
        model: the network to evaluate.
        pair: labels of its test sets are used to report, and nothing else.
        uses_target: whether the method looked at target images; where not, the target's context was not trained.
        batch_size: images at a time.
    """
    by_context = any(isinstance(module, ContextNorm) for module in model.modules())
    trained = set(pair.source.context_or(SOURCE).tolist()) | ({pair.target_context} if uses_target else set())
    tests = {"source_data": pair.source_test, "target_data": pair.target_test}
    known: dict[tuple[str, str], Tensor | None] = {}

    def predictions(data: str, context: str) -> Tensor | None:
        """Return a test set's probabilities; None where there is no set, or its context was not trained."""
        key = (data, context if by_context else "unknown_context")  # else one prediction serves every context
        if key not in known:
            domain = tests[data]
            rows = None if domain is None else _contexts(pair, domain, *key)
            untrained = rows is not None and not set(rows.tolist()) <= trained
            known[key] = None if domain is None or untrained else predict(model, domain.images, rows, batch_size)
        return known[key]

    matrix = {cell: accuracy(predictions(*cell.split("/")), tests[cell.split("/")[0]]) for cell in CELLS}
    source, target = (
        predictions(data, own) if predictions(data, own) is not None else predictions(data, "unknown_context")
        for data, own in (("source_data", "source_context"), ("target_data", "target_context"))
    )
    chosen = torch.linspace(0, len(pair.target) - 1, min(len(pair.target), SCORED_IMAGES)).long()
    images = select(pair.target.images, chosen)
    rows = torch.full((len(images),), pair.target_context, device=images.device)
    unlabelled = predict(model, images, rows if pair.target_context in trained else None, batch_size)
    return Evaluation(
        matrix=matrix,
        source=accuracy(source, pair.source_test),
        target=accuracy(target, pair.target_test),
        scores={name: float(score(unlabelled)) for name, score in VALIDATORS.items()},
        source_probabilities=source,
        target_probabilities=target,
    )


def _contexts(pair: DomainPair, domain: Domain, data: str, context: str) -> Tensor | None:
    """Return the context of each test image that a cell of the matrix stands for: ``(N,)``, or None for unknown."""
    if context == "unknown_context":
        return None
    own = domain.context_or(SOURCE)
    if context == "target_context":
        return torch.full_like(own, pair.target_context)
    return own if data == "source_data" else torch.zeros_like(own)


def accuracy(probabilities: Tensor | None, domain: Domain | None) -> float | None:
    """Return the percentage of predictions ``(N, K)`` that equal the domain's labels; None where there are none."""
    if probabilities is None or domain is None or domain.labels is None:
        return None
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
