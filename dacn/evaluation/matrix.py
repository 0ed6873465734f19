"""The context matrix: accuracy of each domain's data under each context, with the predictions behind it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from dacn.batch import SOURCE
from dacn.data.domain import Domain, DomainPair
from dacn.data.read.images import Images, select
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
from dacn.evaluation.inference import predict
from dacn.evaluation.validators import SOURCE_ACCURACY, VALIDATORS
from dacn.nn import ContextNorm

Predictions = Callable[[str, str], Tensor | None]
Predict = Callable[[Images, Tensor | None], Tensor]
CELLS = (
    "source_data/source_context",
    "source_data/target_context",
    "source_data/unknown_context",
    "target_data/source_context",
    "target_data/target_context",
    "target_data/unknown_context",
)
"""Which test data under which context, see `dacn.evaluation.contexts.context_rows`."""
SCORED_IMAGES = 2000
"""How many training images the label-free scores are taken over: the target's, and the source's without a test set."""
RAW_IMAGES = 2000
"""How many images of each test set the matrix of the weights without averaging is of."""


@dataclass(frozen=True)
class Evaluation:
    """The results of one network on a pair.

    Args:
        matrix: percent right of test data under a context, by the names of `CELLS`; None where it cannot be told.
        source, target: percent right under the context that each domain is deployed with: its own, or an unknown one
            where its own was not trained; None without a test set. Where the context is not the domain, the one that is
            inferred from each image.
        modes: where the context is not the domain, percent right of each test set with every image's context known,
            inferred from the image, and unknown. A known context that leaks tells part of the answer.
        scores: what may choose a checkpoint, by validator: no target label is in any of them.
        source_probabilities, target_probabilities: predictions on the test sets, ``(N, K)``; None without one.
        unlabelled_probabilities: predictions on target training images at even distances, which the scores are of.
    """

    matrix: dict[str, float | None]
    source: float | None
    target: float | None
    scores: dict[str, float]
    modes: dict[str, dict[str, float | None]]
    source_probabilities: Tensor | None = field(repr=False)
    target_probabilities: Tensor | None = field(repr=False)
    unlabelled_probabilities: Tensor | None = field(repr=False, default=None)


def evaluate(
    model: nn.Module,
    pair: DomainPair,
    *,
    uses_target: bool,
    batch_size: int = 500,
    flips: bool = False,
    bf16: bool = False,
    compiled: bool = False,
) -> Evaluation:
    """Return the context matrix, accuracies and label-free scores of ``model``.

    Args:
        model: the network to evaluate.
        pair: labels of its target's test set are used to report, and nothing else.
        uses_target: whether the method looked at target images; where not, the target's context was not trained.
        batch_size: images at a time.
        flips: whether mirrored images are shown too and the probabilities averaged.
        bf16: whether under autocast in bfloat16.
        compiled: whether through torch.compile.
    """
    run: Predict = partial(predict, model, batch_size=batch_size, flips=flips, bf16=bf16, compiled=compiled)
    predictions = _predictions(model, pair, uses_target, run)
    tests = _tests(pair)

    def deployed(data: str) -> Tensor | None:
        own = predictions(data, deployed_context(pair, data))
        return own if own is not None else predictions(data, UNKNOWN)

    source, target = deployed("source_data"), deployed("target_data")
    some = evenly_spaced(pair.target, SCORED_IMAGES)
    if pair.target_test is not None and target is not None and pair.target_test.images is pair.target.images:
        unlabelled = target[some.to(target.device)]  # tested on the images that it lent without their labels
    else:
        unlabelled = run(*deployed_images(model, pair, pair.target, some, uses_target=uses_target))
    finite = bool(unlabelled.isfinite().all())  # of a network that overflows no score can be told
    scores = {name: float(score(unlabelled)) if finite else math.nan for name, score in VALIDATORS.items()}
    right = partial(accuracy, class_mean=pair.class_mean)
    source_accuracy = right(source, pair.source_test)
    if source_accuracy is None:
        some = evenly_spaced(pair.source, SCORED_IMAGES)
        seen = run(*deployed_images(model, pair, pair.source, some, uses_target=uses_target))
        assert pair.source.labels is not None
        labels = pair.source.labels[some.to(pair.source.labels.device)]
        source_accuracy = percent_right(seen, labels, class_mean=pair.class_mean)
    return Evaluation(
        matrix=_matrix(predictions, pair),
        source=right(source, pair.source_test),
        target=right(target, pair.target_test),
        scores=scores | {SOURCE_ACCURACY: source_accuracy},
        modes={
            data.removesuffix("_data"): {m: right(predictions(data, mode_context(data, m)), domain) for m in MODES}
            for data, domain in tests.items()
            if domain is not None and not pair.by_domain
        },
        source_probabilities=source,
        target_probabilities=target,
        unlabelled_probabilities=unlabelled,
    )


def context_matrix(
    model: nn.Module,
    pair: DomainPair,
    *,
    uses_target: bool,
    batch_size: int = 500,
    flips: bool = False,
    bf16: bool = False,
    compiled: bool = False,
    most: int | None = None,
) -> dict[str, float | None]:
    """Return the matrix alone, as `evaluate` does, or of up to ``most`` images of each test set, at even distances."""
    run: Predict = partial(predict, model, batch_size=batch_size, flips=flips, bf16=bf16, compiled=compiled)
    if most is not None:
        source_test, target_test = (_up_to(domain, most) for domain in (pair.source_test, pair.target_test))
        pair = replace(pair, source_test=source_test, target_test=target_test)
    return _matrix(_predictions(model, pair, uses_target, run), pair)


def _up_to(domain: Domain | None, most: int) -> Domain | None:
    return domain if domain is None or len(domain) <= most else domain.rows(evenly_spaced(domain, most))


def evenly_spaced(domain: Domain, count: int) -> Tensor:
    """Return the indices of up to ``count`` images that stand at even distances in a domain: ``(n,)`` int64."""
    return torch.linspace(0, len(domain) - 1, min(len(domain), count)).long()


def deployed_images(
    model: nn.Module, pair: DomainPair, domain: Domain, chosen: Tensor, *, uses_target: bool
) -> tuple[Images, Tensor | None]:
    """Return some images of a domain and the context that each is deployed with.

    Args:
        model: tells contexts from images where the context is not the domain.
        pair: what was trained on.
        domain: its source, its target, or the test set of either.
        chosen: indices of the images, on the CPU.
        uses_target: whether the method looked at target images.

    Shape: chosen ``(n,)``; returns ``(n, 3, H, W)`` uint8 and ``(n,)``, or None where the context was not trained.
    """
    images = select(domain.images, chosen)
    if not pair.by_domain:
        return images, infer_contexts(model, images)
    of_target = domain is pair.target or domain is pair.target_test
    rows = domain.context_or(pair.target_context if of_target else SOURCE)[chosen.to(images.device)]
    return images, rows if set(rows.tolist()) <= _trained(pair, uses_target) else None


def _trained(pair: DomainPair, uses_target: bool) -> set[int]:
    """Return the contexts whose parameters training reaches."""
    contexts = set(pair.source.context_or(SOURCE).tolist())
    return contexts | (set(pair.target.context_or(pair.target_context).tolist()) if uses_target else set())


def _tests(pair: DomainPair) -> dict[str, Domain | None]:
    return {"source_data": pair.source_test, "target_data": pair.target_test}


def _predictions(model: nn.Module, pair: DomainPair, uses_target: bool, run: Predict) -> Predictions:
    """Return a function of a matrix cell's two parts; images are passed but once where the network sees the same."""
    by_context = any(isinstance(module, ContextNorm) for module in model.modules()) and pair.num_contexts > 1
    trained, tests = _trained(pair, uses_target), _tests(pair)
    rows: dict[tuple[str, str], Tensor | None] = {}
    passed: dict[str, list[tuple[Tensor | None, Tensor]]] = {data: [] for data in tests}  # contexts, probabilities

    def predictions(data: str, context: str) -> Tensor | None:
        """Return a test set's probabilities; None where there is no set, or its context was not trained."""
        domain = tests[data]
        if domain is None or not is_meaningful(pair, data, context):
            return None
        if context == INFERRED and pair.context_net is not None:  # the contexts that are known were inferred so
            context = mode_context(data, "known")
        if not by_context:  # one prediction serves every context
            context = UNKNOWN
        if (data, context) not in rows:
            rows[data, context] = context_rows(model, pair, domain, data, context)
        own = rows[data, context]
        if own is not None and not set(own.tolist()) <= trained:
            return None
        for other, probabilities in passed[data]:
            if other is own or (other is not None and own is not None and torch.equal(other, own)):
                return probabilities
        passed[data].append((own, run(domain.images, own)))
        return passed[data][-1][1]

    return predictions


def _matrix(predictions: Predictions, pair: DomainPair) -> dict[str, float | None]:
    tests = _tests(pair)
    return {
        cell: accuracy(predictions(*cell.split("/")), tests[cell.split("/")[0]], class_mean=pair.class_mean)
        for cell in CELLS
    }


def accuracy(probabilities: Tensor | None, domain: Domain | None, *, class_mean: bool = False) -> float | None:
    """Return the percentage of predictions ``(N, K)`` that equal the domain's labels; None where there are none."""
    if probabilities is None or domain is None or domain.labels is None:
        return None
    return percent_right(probabilities, domain.labels, class_mean=class_mean)


def percent_right(probabilities: Tensor, labels: Tensor, *, class_mean: bool) -> float:
    """Return the percentage of predictions that equal the labels, of images or as the mean over the classes there are.

    >>> scores = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    >>> [percent_right(scores, torch.tensor([0, 0, 0, 1]), class_mean=mean) for mean in (False, True)]
    [75.0, 50.0]

    Shape: probabilities ``(N, K)``, labels ``(N,)``.
    """
    right = (probabilities.argmax(dim=1) == labels).float()
    if not class_mean:
        return 100 * float(right.mean())
    count = torch.bincount(labels)
    of_class = torch.bincount(labels, weights=right) / count.clamp_min(1)
    return 100 * float(of_class[count > 0].mean())
