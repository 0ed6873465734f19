from dacn.evaluation.console import describe, in_short
from dacn.evaluation.matrix import Evaluation
from dacn.evaluation.selection import Selection

MATRIX = {
    "source_data/source_context": 99.0,
    "source_data/target_context": 98.0,
    "source_data/unknown_context": None,
    "target_data/source_context": 60.0,
    "target_data/target_context": 90.126,
    "target_data/unknown_context": 0.0,
}
NOTHING: dict[str, float | None] = dict.fromkeys(MATRIX)


def test_all_of_the_numbers_in_lines() -> None:
    raw = {cell: None if value is None else value / 2 for cell, value in MATRIX.items()}
    scores = {"entropy": -0.125, "source_accuracy": 99.0}
    result = Evaluation(dict(MATRIX), 99.0, 90.126, scores, {}, None, None)
    text = describe(result, raw, "entropy", Selection(step=40), {"ece_target": 3.0})
    assert text.splitlines() == [
        "averaged weights, context    source   target  unknown",
        "source data                   99.00    98.00        -",
        "target data                   60.00    90.13     0.00",
        "raw weights, context         source   target  unknown",
        "source data                   49.50    49.00        -",
        "target data                   30.00    45.06     0.00",
        "selects: entropy, so far step 40",
        "  entropy -0.125",
        "  source_accuracy 99",
        "oracle, not used: ece_target 3",
    ]


def test_a_few_lines_in_plain_words() -> None:
    result = Evaluation(dict(MATRIX), 99.0, 90.126, {"mutual_information": 1.234}, {}, None, None)
    assert in_short(result, "mutual_information", Selection(step=1500)).splitlines() == [
        "source 99.0 %, target 90.1 % right",
        "target under the source's context 60.0 %",
        "mutual information 1.23; chosen without labels so far: step 1,500",
    ]
    assert in_short(result, "last", Selection()).splitlines()[-1] == "the last step is taken"


def test_without_labels_only_the_scores_are_told() -> None:
    result = Evaluation(NOTHING, None, None, {"a": 1.0, "b": 2.0}, {}, None, None)
    assert describe(result, NOTHING, "last", Selection(), {}).splitlines()[2:] == [
        "selects: last, so far step 0",
        "  a 1",
        "  b 2",
    ]
    assert in_short(result, "a", Selection(step=2)).splitlines() == [
        "no test labels, so no accuracy",
        "a 1; chosen without labels so far: step 2",
    ]


def test_contexts_that_are_no_domains() -> None:
    modes: dict[str, dict[str, float | None]] = {"target": {"known": 90.0, "inferred": 70.0, "unknown": None}}
    result = Evaluation(dict(MATRIX), None, 70.0, {"a": 1.0}, modes, None, None)
    assert describe(result, MATRIX, "a", Selection(), {}).splitlines()[:2] == [
        "accuracy, context is      known inferred  unknown",
        "target data               90.00    70.00        -",
    ]
    assert in_short(result, "a", Selection()).splitlines()[0] == "target 70.0 % right"
