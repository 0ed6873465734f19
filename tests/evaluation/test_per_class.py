import pytest
import torch
from torch import Tensor

from dacn.data.domain import Domain, DomainPair
from dacn.evaluation.matrix import Evaluation
from dacn.evaluation.per_class import macro, per_class

TRUTH, ANSWERS = [1, 2, 0, 2, 2], [1, 2, 0, 0, 2]


def domain() -> Domain:
    return Domain("numbers", torch.zeros(len(TRUTH), 3, 2, 2, dtype=torch.uint8), torch.tensor(TRUTH))


def pair(target_test: Domain | None = None) -> DomainPair:
    return DomainPair(
        name="numbers",
        classes=("0", "1", "2"),
        contexts=("source", "target"),
        source=domain(),
        target=domain(),
        source_test=None,
        target_test=target_test,
    )


def evaluation(target: Tensor | None) -> Evaluation:
    return Evaluation(
        matrix={},
        source=None,
        target=None,
        scores={},
        modes={},
        source_probabilities=None,
        target_probabilities=target,
    )


ONE_HOT = torch.nn.functional.one_hot(torch.tensor(ANSWERS), 3).double()


def test_against_counting() -> None:
    report = per_class(evaluation(ONE_HOT), pair(domain()))
    assert set(report) == {"target"}, "the source has no test set"
    target = report["target"]
    for k in range(3):
        hits = sum(t == a == k for t, a in zip(TRUTH, ANSWERS, strict=True))
        precision, recall = 100 * hits / ANSWERS.count(k), 100 * hits / TRUTH.count(k)
        assert target["precision"][k] == pytest.approx(precision, abs=1e-3)
        assert target["recall"][k] == pytest.approx(recall, abs=1e-3)
        assert target["f1"][k] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-3)
    for score, value in macro(evaluation(ONE_HOT), pair(domain()))["target"].items():
        assert value == pytest.approx(sum(target[score]) / 3, abs=1e-3)


def test_a_class_that_is_never_predicted_counts_as_zero() -> None:
    never = torch.nn.functional.one_hot(torch.zeros(5, dtype=torch.int64), 3).double()
    target = per_class(evaluation(never), pair(domain()))["target"]
    assert target["precision"] == [20.0, 0.0, 0.0]
    assert target["recall"] == [100.0, 0.0, 0.0]
    assert target["f1"] == [pytest.approx(33.333), 0.0, 0.0]


def test_without_predictions_or_a_test_set_there_is_nothing_to_tell() -> None:
    assert per_class(evaluation(None), pair(domain())) == {}
    assert per_class(evaluation(ONE_HOT), pair()) == {}
