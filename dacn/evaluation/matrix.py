"""Accuracy of each domain's data under each context, and what it is computed from."""

from dataclasses import dataclass, field

import torch
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor, nn

from dacn.batch import SOURCE
from dacn.data.augment import to_input
from dacn.data.domain import Domain, DomainPair
from dacn.data.images import Images, batches, select
from dacn.evaluation.contexts import (
    INFERRED,
    MODES,
    UNKNOWN,
    context_rows,
    deployed_context,
    infer_contexts,
    is_meaningful,
    mode_context,
)
from dacn.evaluation.validators import VALIDATORS
from dacn.nn import ContextNorm

CELLS = (
    "source_data/source_context",
    "source_data/target_context",
    "target_data/source_context",
    "target_data/target_context",
    "target_data/unknown_context",
)
"""Which test data under which context, see `dacn.evaluation.contexts.context_rows`."""
SCORED_IMAGES = 2000
"""How many of the target's training images the label-free scores are taken over."""


@dataclass(frozen=True)
class Evaluation:
    """What one network does on a pair.

    Args:
        matrix: percent right of test data under a context, by the names of `CELLS`; None where it cannot be told.
        source, target: percent right under the context that each domain is deployed with: its own, or an unknown one
            where its own was not trained; None without a test set. Where the context is not the domain, the one that is
            inferred from each image.
        modes: where the context is not the domain, percent right of each test set with every image's context known,
            inferred from the image, and unknown. A known context that leaks tells part of the answer.
        scores: label-free scores of the target's training images, by validator.
        source_probabilities, target_probabilities: predictions on the test sets, ``(N, K)``; None without one.
    """

    matrix: dict[str, float | None]
    source: float | None
    target: float | None
    scores: dict[str, float]
    modes: dict[str, dict[str, float | None]]
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
    trained = set(pair.source.context_or(SOURCE).tolist())
    trained |= set(pair.target.context_or(pair.target_context).tolist()) if uses_target else set()
    tests = {"source_data": pair.source_test, "target_data": pair.target_test}
    known: dict[tuple[str, str], Tensor | None] = {}

    def predictions(data: str, context: str) -> Tensor | None:
        """Return a test set's probabilities; None where there is no set, or its context was not trained."""
        domain = tests[data]
        if domain is None or not is_meaningful(pair, data, context):
            return None
        if context == INFERRED and pair.context_net is not None:  # the contexts that are known were inferred so
            context = mode_context(data, "known")
        key = (data, context if by_context else UNKNOWN)  # else one prediction serves every context
        if key not in known:
            rows = context_rows(model, pair, domain, *key)
            untrained = rows is not None and not set(rows.tolist()) <= trained
            known[key] = None if untrained else predict(model, domain.images, rows, batch_size)
        return known[key]

    def deployed(data: str) -> Tensor | None:
        own = predictions(data, deployed_context(pair, data))
        return own if own is not None else predictions(data, UNKNOWN)

    def percent(data: str, context: str) -> float | None:
        return accuracy(predictions(data, context), tests[data])

    source, target = deployed("source_data"), deployed("target_data")
    scored = predict(model, *_scored(model, pair, trained), batch_size)
    return Evaluation(
        matrix={cell: percent(*cell.split("/")) for cell in CELLS},
        source=accuracy(source, pair.source_test),
        target=accuracy(target, pair.target_test),
        scores={name: float(score(scored)) for name, score in VALIDATORS.items()},
        modes={
            data.removesuffix("_data"): {mode: percent(data, mode_context(data, mode)) for mode in MODES}
            for data, domain in tests.items()
            if domain is not None and not pair.by_domain
        },
        source_probabilities=source,
        target_probabilities=target,
    )


def _scored(model: nn.Module, pair: DomainPair, trained: set[int]) -> tuple[Images, Tensor | None]:
    """Return the target's training images that the label-free scores are taken over, and the context of each."""
    every = pair.target.images
    chosen = torch.linspace(0, len(every) - 1, min(len(every), SCORED_IMAGES)).long()
    images = select(every, chosen)
    if not pair.by_domain:
        return images, infer_contexts(model, images)
    if pair.target_context not in trained:
        return images, None
    return images, torch.full((len(images),), pair.target_context, device=images.device)


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


def macro(evaluation: Evaluation, pair: DomainPair) -> dict[str, dict[str, float]]:
    """Return precision, recall and F1 on each labelled test set, in percent, as means over the classes."""
    return {
        name: {score: round(sum(values) / len(values), 3) for score, values in scores.items()}
        for name, scores in per_class(evaluation, pair).items()
    }
