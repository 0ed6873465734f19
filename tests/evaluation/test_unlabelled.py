import math

import pytest
import torch

from dacn.evaluation.unlabelled import Sign, class_shares, collapse, effective_classes, fallen, signs_of, without_effect

CLASSES = ("cat", "dog", "owl", "fox")


def test_shares_and_their_effective_number() -> None:
    shares = class_shares(torch.tensor([0, 0, 0, 2]), 4)
    assert shares.tolist() == [0.75, 0, 0.25, 0]
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_classes(shares) == pytest.approx(math.exp(entropy), abs=1e-4)
    assert effective_classes(torch.full((4,), 0.25)) == 4


def test_few_predicted_classes_are_told() -> None:
    even = torch.full((4,), 0.25)
    told = collapse(torch.tensor([0.02, 0.95, 0.03, 0.0]), even, CLASSES)
    assert told is not None
    assert "95 % of the target images are 'dog', and 3 of 4 classes are predicted at all" in told
    assert collapse(torch.tensor([0.4, 0.3, 0.2, 0.1]), even, CLASSES) is None
    skewed = torch.tensor([0.95, 0.05, 0.0, 0.0])
    assert collapse(skewed, skewed, CLASSES) is None, "as skewed as the source itself"


@pytest.mark.parametrize(
    ("last", "best", "told"), [(1.0, 1.02, False), (0.5, 1.0, True), (-0.9, -0.2, True), (math.nan, 1.0, False)]
)
def test_a_score_that_fell(last: float, best: float, told: bool) -> None:
    text = fallen("mutual_information", last, best, 1200, selected=True)
    assert (text is not None) == told
    if text is not None:
        assert f"from {best:.3g} at step 1,200 to {last:.3g} at the end; that checkpoint is the selected one" in text


def test_a_target_that_was_not_learned_from() -> None:
    assert without_effect(0.5, 80.0, 100) is None
    assert without_effect(None, None, None) is None
    assert "only 0.1 % of the target images are given a pseudo-label" in str(without_effect(0.001, 80.0, 100))
    assert "changed 0.5 % of the target's predictions since step 100" in str(without_effect(0.5, 99.5, 100))


def test_signs_have_a_scale_and_a_grade() -> None:
    sure = torch.eye(4).repeat(5, 1)
    scores = {"mutual_information": math.log(4), "batch_nuclear_norm": 1.0, "negative_entropy": 0.0}
    signs = {sign.name: sign for sign in signs_of(sure, 62.5, scores)}
    assert [*signs] == ["confidence_percent", "views_agree_percent", "mutual_information", "batch_nuclear_norm"]
    assert {name: sign.grade for name, sign in signs.items()} == {
        "confidence_percent": "good",
        "views_agree_percent": "middling",  # 62.5 is half of the way from 25 to 100
        "mutual_information": "good",
        "batch_nuclear_norm": "good",
    }
    assert Sign("a", 0.1, 0.0, 1.0).grade == "bad"
    assert Sign("a", -3.0, 0.0, 1.0).share == 0
    assert all(sign.name != "mutual_information" for sign in signs_of(sure, None, {"mutual_information": math.nan}))


def test_chance_is_the_worst_of_each_scale() -> None:
    uniform = torch.full((8, 4), 0.25)
    scores = {
        "mutual_information": 0.0,
        "batch_nuclear_norm": float(torch.linalg.matrix_norm(uniform, "nuc")) / 32**0.5,
    }
    assert [round(sign.share, 6) for sign in signs_of(uniform, 25.0, scores)] == [0, 0, 0, 0]
