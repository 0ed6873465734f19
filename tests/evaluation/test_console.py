from dacn.evaluation.console import describe
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


def test_matrix_scores_and_oracle_in_lines() -> None:
    raw = {cell: None if value is None else value / 2 for cell, value in MATRIX.items()}
    scores = {"entropy": -0.125, "source_accuracy": 99.0}
    result = Evaluation(dict(MATRIX), 99.0, 90.126, scores, {}, None, None)
    text = describe(result, raw, "entropy", Selection(step=40), {"ece_target": 3.0})
    assert text.splitlines() == [
        "accuracy under context   source   target  unknown   raw weights   source   target  unknown",
        "source data               99.00    98.00        -                  49.50    49.00        -",
        "target data               60.00    90.13     0.00                  30.00    45.06     0.00",
        "selects: entropy -0.125, so far step 40; not: source_accuracy 99",
        "oracle, not used: ece_target 3",
    ]


def test_without_labels_only_the_scores_are_told() -> None:
    nothing: dict[str, float | None] = dict.fromkeys(MATRIX)
    text = describe(
        Evaluation(nothing, None, None, {"a": 1.0, "b": 2.0}, {}, None, None), nothing, "last", Selection(), {}
    )
    assert text.splitlines()[1:] == ["selects: last, so far step 0; not: a 1  b 2"]


def test_contexts_that_are_no_domains() -> None:
    modes: dict[str, dict[str, float | None]] = {"target": {"known": 90.0, "inferred": 70.0, "unknown": None}}
    text = describe(Evaluation(dict(MATRIX), None, 70.0, {"a": 1.0}, modes, None, None), MATRIX, "a", Selection(), {})
    assert text.splitlines()[:2] == [
        "accuracy, context is      known inferred  unknown",
        "target data               90.00    70.00        -",
    ]
