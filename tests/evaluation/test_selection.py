import math
from dataclasses import asdict

import pytest

from dacn.evaluation.matrix import Evaluation
from dacn.evaluation.selection import Selection


def evaluation(target: float | None, **scores: float) -> Evaluation:
    return Evaluation({}, None, target, scores, {}, None, None)


def run(select: str, *results: Evaluation) -> tuple[Selection, list[int]]:
    selection, chosen = Selection(updates_to={50.0: None, 99.0: None}), []
    for step, result in enumerate(results, start=1):
        if selection.judge(step, select, result, {"cell": float(step)}):
            chosen.append(step)
    return selection, chosen


RESULTS = (
    evaluation(40.0, a=1.0, b=5.0),
    evaluation(60.0, a=3.0, b=4.0),
    evaluation(55.0, a=2.0, b=3.0),
    evaluation(50.0, a=3.0, b=2.0),
)


@pytest.mark.parametrize(("select", "chosen", "step"), [("a", [1, 2, 4], 4), ("b", [1], 1), ("last", [1, 2, 3, 4], 4)])
def test_the_highest_score_chooses_and_of_two_the_later(select: str, chosen: list[int], step: int) -> None:
    selection, taken = run(select, *RESULTS)
    assert taken == chosen
    assert selection.step == step
    assert selection.raw_matrix == {"cell": float(step)}, "of the selected step"


def test_what_the_others_would_choose_is_remembered() -> None:
    selection, _ = run("b", *RESULTS)
    assert selection.choices == {
        "a": {"score": 3.0, "step": 4, "target": 50.0},
        "b": {"score": 5.0, "step": 1, "target": 40.0},
    }
    assert selection.oracle == 60.0
    assert selection.updates_to == {50.0: 2, 99.0: None}


def test_target_accuracy_chooses_nothing() -> None:
    with_labels, taken = run("a", *RESULTS)
    without, same = run("a", *(evaluation(None, **result.scores) for result in RESULTS))
    assert taken == same
    assert (without.step, without.score, without.oracle) == (with_labels.step, with_labels.score, None)
    assert without.choices["a"]["target"] is None


def test_it_is_plain_values() -> None:
    selection, _ = run("a", *RESULTS)
    assert Selection(**asdict(selection)) == selection


def test_a_network_without_a_score_is_chosen_only_while_there_is_no_other() -> None:
    selection, chosen = run("a", *(evaluation(None, a=score) for score in (math.nan, 0.5, math.nan)))
    assert chosen == [1, 2]
    assert (selection.step, selection.score) == (2, 0.5)
    assert selection.choices["a"]["step"] == 2
