"""Precision, recall and F1 of the classes."""

from sklearn.metrics import precision_recall_fscore_support

from dacn.data.domain import DomainPair
from dacn.evaluation.matrix import Evaluation


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
