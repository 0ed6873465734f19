"""What a run shows of itself beside its losses."""

import torch
from torch import Tensor, nn

from dacn.algorithms.base import Algorithm
from dacn.batch import Batch
from dacn.data.domain import Domain, DomainPair
from dacn.evaluation.calibration import reliability
from dacn.evaluation.domain_distance import FEATURES, proxy_a_distance
from dacn.evaluation.features import sample_features
from dacn.evaluation.figures import COLUMNS, draw, views_figure
from dacn.evaluation.grid import shorten
from dacn.evaluation.matrix import Evaluation
from dacn.models.classifier import Classifier
from dacn.nn import ContextNorm
from dacn.trainer.tracking import Tracker


def observe_views(
    tracker: Tracker, algorithm: Algorithm, model: nn.Module, batch: Batch, classes: tuple[str, ...], step: int
) -> None:
    """Show a few images as training sees them, weak and strong views of both domains, and what is made of them."""
    captions = view_captions(algorithm, model, batch, classes)
    tracker.images("views", step, draw(views_figure(batch.source, batch.target, captions)))


@torch.no_grad()
def view_captions(
    algorithm: Algorithm, model: nn.Module, batch: Batch, classes: tuple[str, ...]
) -> dict[str, list[str]]:
    """Return what is written below the first images of each row of `views_figure`.

    Below the source's weak views stands the label. Below the target's stands the pseudo-label that the method would
    give, its probability, and ✓ where it would be kept or ✗ where not; below strong views what is predicted for them.

    Args:
        algorithm: gives the pseudo-labels; where it gives none, the prediction takes their place.
        model: makes the predictions, in evaluation mode.
        batch: as training sees it.
        classes: names of the classes.
    """
    model.eval()

    def predict(images: Tensor, context: Tensor) -> Tensor:
        scores: Tensor = model(images[:COLUMNS], context[:COLUMNS])
        return scores.float().softmax(dim=1)

    source_strong = predict(batch.source.strong, batch.source_context)  # (N, K)
    captions = {
        "source weak": [f"is {shorten(classes[k], 9)}" for k in batch.labels[:COLUMNS].tolist()],
        "source strong": _answers(source_strong, source_strong.argmax(dim=1), classes),
    }
    if len(batch.target_context) == 0:
        return captions
    weak, strong = (predict(view, batch.target_context) for view in batch.target)  # (N, K) each
    given = algorithm.pseudo_labels(weak)
    labels, kept = (weak.argmax(dim=1), None) if given is None else given
    marks = [""] * len(labels) if kept is None else [" ✓" if keep else " ✗" for keep in kept.tolist()]
    captions["target weak"] = [
        answer + mark for answer, mark in zip(_answers(weak, labels, classes), marks, strict=True)
    ]
    captions["target strong"] = _answers(strong, strong.argmax(dim=1), classes)
    return captions


def _answers(probabilities: Tensor, labels: Tensor, classes: tuple[str, ...]) -> list[str]:
    sure = (100 * probabilities.gather(1, labels[:, None])[:, 0]).tolist()
    between = " " if max(map(len, classes)) <= 3 else "\n"
    return [f"{shorten(classes[k], 9)}{between}({p:.0f} %)" for k, p in zip(labels.tolist(), sure, strict=True)]


@torch.no_grad()
def observe_contexts(tracker: Tracker, model: nn.Module, step: int) -> None:
    """Show how the channels' means and standard deviations are spread in each context of each layer."""
    for name, layer in model.named_modules():
        if isinstance(layer, ContextNorm):
            mean, var = layer.tables()
            for k in range(layer.num_contexts):
                tracker.histogram(f"context_{k}/{name}/mean", step, mean[k])
                tracker.histogram(f"context_{k}/{name}/std", step, var[k].sqrt())


def domain_distance(
    model: Classifier, pair: DomainPair, *, uses_target: bool, batch_size: int, bf16: bool = False
) -> dict[str, float]:
    """Return the proxy A-distance between the features of both domains' training images, if there are enough."""
    sample = sample_features(
        model, pair.source, pair.target, pair, FEATURES, uses_target=uses_target, batch_size=batch_size, bf16=bf16
    )
    smaller = min(int(sample.of_target.sum()), int((~sample.of_target).sum()))
    if smaller < 2 or not bool(sample.features.isfinite().all()):
        return {}
    return {"a_distance": proxy_a_distance(sample.features, sample.of_target)}


def labelled_tests(evaluation: Evaluation, pair: DomainPair) -> dict[str, tuple[Domain, Tensor, Tensor]]:
    """Return each labelled test set that was predicted, by ``source`` and ``target``: images, labels, probabilities."""
    tests = {
        "source": (pair.source_test, evaluation.source_probabilities),
        "target": (pair.target_test, evaluation.target_probabilities),
    }
    return {
        name: (domain, domain.labels, probabilities)
        for name, (domain, probabilities) in tests.items()
        if domain is not None and domain.labels is not None and probabilities is not None
    }


def calibration(evaluation: Evaluation, pair: DomainPair) -> dict[str, float]:
    """Return the expected calibration error on each labelled test set, in percent, by ``source`` and ``target``."""
    tests = labelled_tests(evaluation, pair)
    return {name: 100 * reliability(probabilities, labels).error for name, (_, labels, probabilities) in tests.items()}


def evaluation_values(evaluation: Evaluation, raw: dict[str, float | None]) -> dict[str, float]:
    """Return what an evaluation measured by the names that it is logged under; ``raw`` is the raw weights' matrix."""
    accuracies = evaluation.matrix | {"source": evaluation.source, "target": evaluation.target}
    return {
        **{f"accuracy/{cell}": value for cell, value in accuracies.items() if value is not None},
        **{f"raw/{cell}": value for cell, value in raw.items() if value is not None},
        **{f"label_free/{name}": value for name, value in evaluation.scores.items()},
    }


def told_by_labels(algorithm: Algorithm, evaluation: Evaluation, pair: DomainPair) -> dict[str, float]:
    """Return what only labelled test sets tell: of pseudo-labels, and how well calibrated the network is."""
    names = {"source": "ece/source", "target": "oracle/ece_target"}
    errors = {names[domain]: error for domain, error in calibration(evaluation, pair).items()}
    return pseudo_label_quality(algorithm, evaluation, pair.target_test) | errors


def pseudo_label_quality(algorithm: Algorithm, evaluation: Evaluation, test: Domain | None) -> dict[str, float]:
    """Return how many test images would be given a pseudo-label, and how many of those rightly.

    The labels of the target's training images are out of reach, so its test set stands in. Logged as *oracle*: nothing
    uses it.
    """
    if test is None or test.labels is None or evaluation.target_probabilities is None:
        return {}
    given = algorithm.pseudo_labels(evaluation.target_probabilities)
    if given is None:
        return {}
    labels, keep = given
    right = (labels == test.labels)[keep].float()
    quality = {"oracle/pseudo_label_kept": float(keep.float().mean())}
    return quality | ({"oracle/pseudo_label_accuracy": 100 * float(right.mean())} if len(right) else {})
