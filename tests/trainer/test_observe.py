"""What a run tells of its views, of its features and of its calibration."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dacn.batch import Batch, Views
from dacn.data.domain import DomainPair
from dacn.evaluation.matrix import Evaluation
from dacn.models.build import ModelConfig, build_model
from dacn.trainer.observe import calibration, domain_distance, labelled_tests, view_captions
from tests import made_up

CLASSES = ("cat", "dog", "elk")


class FirstPixel(nn.Module):
    """Gives the class that the first pixel names 80 %, one further along under context 1."""

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        answer = (x[:, 0, 0, 0].long() + context) % 3
        return torch.where(torch.nn.functional.one_hot(answer, 3).bool(), 0.8, 0.1).log()


class Method:
    def __init__(self, given: tuple[Tensor, Tensor] | None) -> None:
        self.given = given

    def pseudo_labels(self, probabilities: Tensor) -> tuple[Tensor, Tensor] | None:
        return self.given


def images(*pixels: int) -> Tensor:
    return torch.tensor(pixels).float()[:, None, None, None].expand(-1, 3, 2, 2)


BATCH = Batch(
    Views(images(0, 1), images(0, 2)),
    torch.tensor([0, 1]),
    torch.tensor([0, 0]),
    Views(images(0, 1, 2), images(2, 1, 0)),
    torch.tensor([1, 1, 1]),
)


def test_labels_pseudo_labels_and_predictions_are_written_below_the_views() -> None:
    given = torch.tensor([1, 0, 0]), torch.tensor([True, False, True])
    method: Any = Method(given)
    assert view_captions(method, FirstPixel().train(), BATCH, CLASSES) == {
        "source weak": ["is cat", "is dog"],
        "source strong": ["cat (80 %)", "elk (80 %)"],
        "target weak": ["dog (80 %) ✓", "cat (10 %) ✗", "cat (80 %) ✓"],  # 0 + 1, then not the likeliest, then 2 + 1
        "target strong": ["cat (80 %)", "elk (80 %)", "dog (80 %)"],
    }


def test_without_pseudo_labels_the_prediction_stands_there_and_without_target_nothing() -> None:
    method: Any = Method(None)
    assert view_captions(method, FirstPixel(), BATCH, CLASSES)["target weak"] == [
        "dog (80 %)",
        "elk (80 %)",
        "cat (80 %)",
    ]
    long = ("a very long name", "dog", "elk")
    assert view_captions(method, FirstPixel(), BATCH, long)["source weak"][0] == "is a very l…"
    assert view_captions(method, FirstPixel(), BATCH, long)["source strong"][0] == "a very l…\n(80 %)"
    none = BATCH._replace(target=Views(images(), images()), target_context=torch.zeros(0, dtype=torch.int64))
    assert set(view_captions(method, FirstPixel(), none, CLASSES)) == {"source weak", "source strong"}


def test_calibration_of_each_labelled_test_set() -> None:
    pair = made_up.pair()
    assert pair.target_test is not None
    sure = torch.eye(2).repeat(12, 1)  # the made-up labels take turns: always right
    result = Evaluation({}, 100.0, 0.0, {}, {}, sure, sure.flip(1))
    assert calibration(result, pair) == pytest.approx({"source": 0.0, "target": 100.0})
    domain, labels, probabilities = labelled_tests(result, pair)["target"]
    assert domain is pair.target_test
    assert labels is pair.target_test.labels
    assert torch.equal(probabilities, sure.flip(1))
    without = replace(pair, target_test=None)
    assert list(calibration(replace(result, target_probabilities=None), without)) == ["source"]


def test_the_distance_of_domains_draws_nothing_random_and_a_handful_has_none() -> None:
    pair = made_up.pair()
    torch.manual_seed(0)
    model = build_model(ModelConfig.model_validate({"norm": "bn", "input_norm": "none"}), 2, 2).eval()
    before = torch.get_rng_state()
    values = domain_distance(model, pair, uses_target=True, batch_size=10)
    assert values == domain_distance(model, pair, uses_target=True, batch_size=24)
    assert 0 <= values["a_distance"] <= 2
    assert torch.equal(before, torch.get_rng_state())
    one = DomainPair(
        source=pair.source, target=replace(pair.target, images=pair.target.images[:1]), classes=pair.classes
    )
    assert domain_distance(model, one, uses_target=True, batch_size=10) == {}
