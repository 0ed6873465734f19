"""The context matrix and its numbers against plain loops, with a network that answers by context."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dacn.data.domain import Domain, DomainPair
from dacn.evaluation.matrix import context_matrix, evaluate, percent_right, predict
from dacn.evaluation.validators import VALIDATORS
from dacn.nn import AdaptiveContextNorm


class ByContext(nn.Module):
    """Says the class that the image's first pixel names, shifted by the context; class 2 if the context is unknown."""

    takes_context = True

    def __init__(self, takes: bool = True) -> None:
        super().__init__()
        self.layer = AdaptiveContextNorm(1, 2) if takes else nn.Identity()  # what makes a network one by context

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        pixel = (x[:, 0, 0, 0] * 128 + 127.5).round().long()
        answer = torch.full_like(pixel, 2) if context is None else (pixel + context) % 3
        return 5.0 * torch.nn.functional.one_hot(answer, 3)


def domain(name: str, pixels: list[int], labels: list[int]) -> Domain:
    images = torch.tensor(pixels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2).contiguous()
    return Domain(name, images, torch.tensor(labels))


@pytest.fixture
def pair() -> DomainPair:
    return DomainPair(
        name="numbers",
        classes=("a", "b", "c"),
        source=domain("s", [0, 1, 2], [0, 1, 2]),
        target=domain("t", [0, 1, 2, 0], [1, 2, 0, 1]),
        source_test=domain("s", [0, 1, 2, 0], [0, 1, 2, 1]),
        target_test=domain("t", [0, 1, 2, 2, 1], [1, 2, 0, 2, 2]),
    )


def test_each_cell_is_the_share_of_right_answers_under_its_context(pair: DomainPair) -> None:
    result = evaluate(ByContext(), pair, uses_target=True, batch_size=2)
    assert result.matrix == pytest.approx(
        {
            "source_data/source_context": 75.0,  # 0 1 2 0 against 0 1 2 1
            "source_data/target_context": 25.0,  # 1 2 0 1
            "source_data/unknown_context": 25.0,  # 2 2 2 2
            "target_data/source_context": 20.0,  # 0 1 2 2 1 against 1 2 0 2 2
            "target_data/target_context": 80.0,  # 1 2 0 0 2
            "target_data/unknown_context": 60.0,  # 2 2 2 2 2
        }
    )
    assert (result.source, result.target) == (75.0, pytest.approx(80.0))


def test_a_target_that_training_never_saw_is_evaluated_with_its_context_unknown(pair: DomainPair) -> None:
    result = evaluate(ByContext(), pair, uses_target=False)
    assert result.matrix["target_data/target_context"] is None
    assert result.matrix["source_data/target_context"] is None
    assert result.target == pytest.approx(60.0)
    assert result.target_probabilities is not None
    assert result.target_probabilities.argmax(1).tolist() == [2] * 5


def test_without_test_sets_only_the_label_free_scores_remain(pair: DomainPair) -> None:
    result = evaluate(ByContext(), replace(pair, source_test=None, target_test=None), uses_target=True)
    assert set(result.matrix.values()) == {None}
    assert (result.source, result.target, result.target_probabilities) == (None, None, None)


def test_with_several_sources_each_image_has_its_own_context(pair: DomainPair) -> None:
    contexts = torch.tensor([0, 1, 2, 2])  # the third source's context names the same class as the first one's
    several = replace(
        pair,
        contexts=("s0", "s1", "s2", "target"),
        source=replace(pair.source, context=torch.tensor([0, 1, 2])),
        source_test=replace(pair.source_test, context=contexts),
    )
    result = evaluate(ByContext(), several, uses_target=True)
    # 0+0 1+1 2+2 0+2 modulo 3 is 0 2 1 2, against 0 1 2 1; the target's context is the fourth, a shift by nothing
    assert result.matrix["source_data/source_context"] == 25.0
    assert result.matrix["source_data/target_context"] == 75.0
    assert result.matrix["target_data/target_context"] == pytest.approx(20.0)  # the fourth, as the first


def test_on_the_ceiling_the_source_is_what_was_not_trained(pair: DomainPair) -> None:
    ceiling = replace(pair, oracle=True, source=replace(pair.source, context=torch.tensor([1, 1, 1])))
    result = evaluate(ByContext(), ceiling, uses_target=False)
    assert result.target == result.matrix["target_data/target_context"] == pytest.approx(80.0)
    assert result.matrix["source_data/source_context"] is None


def test_mutual_information_is_that_of_the_targets_training_images(pair: DomainPair) -> None:
    result = evaluate(ByContext(), pair, uses_target=True)
    scores = np.zeros((4, 3))
    for row, answer in enumerate([1, 2, 0, 1]):
        scores[row, answer] = 5.0
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    expected = -(p.mean(0) * np.log(p.mean(0))).sum() + (p * np.log(p)).sum(1).mean()
    assert result.scores["mutual_information"] == pytest.approx(expected, rel=1e-5)


def test_source_accuracy_is_of_the_test_set_and_without_one_of_training_images(pair: DomainPair) -> None:
    assert evaluate(ByContext(), pair, uses_target=True).scores["source_accuracy"] == 75.0
    labels = torch.tensor([0, 2, 2])
    without = replace(pair, source_test=None, source=replace(pair.source, labels=labels))
    result = evaluate(ByContext(), without, uses_target=True)
    assert result.scores["source_accuracy"] == pytest.approx(200 / 3)  # 0 1 2 against 0 2 2
    assert result.source is None


def test_the_matrix_alone_is_the_same(pair: DomainPair) -> None:
    for uses_target in (True, False):
        result = evaluate(ByContext(), pair, uses_target=uses_target)
        assert context_matrix(ByContext(), pair, uses_target=uses_target) == result.matrix


def test_no_score_sees_a_target_label(pair: DomainPair) -> None:
    assert pair.target_test is not None
    lied = replace(pair, target_test=replace(pair.target_test, labels=torch.zeros(5, dtype=torch.int64)))
    a, b = (evaluate(ByContext(), each, uses_target=True) for each in (pair, lied))
    assert a.scores == b.scores
    assert a.target != b.target
    assert set(a.scores) == {*VALIDATORS, "source_accuracy"}


def test_predict_sums_to_one_and_leaves_no_graph(pair: DomainPair) -> None:
    probabilities = predict(ByContext(), pair.source.images, torch.ones(3, dtype=torch.int64), batch_size=2)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))
    assert not probabilities.requires_grad


def test_the_mean_over_classes_counts_rare_classes_as_much() -> None:
    """Against plain loops; a class that the test set lacks does not count."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(60, 4, generator=generator)
    labels = torch.tensor([0] * 40 + [1] * 15 + [3] * 5)
    told = scores.argmax(1).tolist()
    shares = []
    for label in (0, 1, 3):
        rows = [row for row, own in enumerate(labels.tolist()) if own == label]
        shares.append(sum(told[row] == label for row in rows) / len(rows))
    assert percent_right(scores, labels, class_mean=True) == pytest.approx(100 * sum(shares) / 3, abs=1e-4)
    everything = sum(own == label for own, label in zip(told, labels.tolist(), strict=True)) / 60
    assert percent_right(scores, labels, class_mean=False) == pytest.approx(100 * everything, abs=1e-4)
