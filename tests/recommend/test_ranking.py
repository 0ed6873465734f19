"""Who comes first, and when that is not to be believed."""

import math
import re
from pathlib import Path

import pytest

from dacn.recommend.ranking import collapsed, doubts, rank
from dacn.report.rows import Row
from dacn.report.runs import Run

K = 10


def row(
    method: str,
    *information: float,
    entropy: float = 0.1,
    density: float | None = None,
    source: float = 99.0,
    target: float | None = None,
) -> Row:
    """A method with one run a seed: its mutual information there; the other scores follow it unless they are given."""
    runs = []
    for seed, score in enumerate(information):
        scores = {
            "mutual_information": score,
            "negative_entropy": -entropy,
            "soft_neighborhood_density": score if density is None else density,
            "batch_nuclear_norm": score,
            "source_accuracy": source,
        }
        summary = {"label_free": scores, "target": {"selected": target}, "seconds": 60.0}
        runs.append(Run(Path(), summary, {"algorithm": {"name": method}, "seed": seed}))
    return Row(method, tuple(runs))


def names(*rows: Row) -> list[str]:
    return [each.method for each in rank(rows, K)]


def reasons(*rows: Row, fewer_classes: bool = False) -> list[str]:
    return doubts(rank(rows, K, fewer_classes=fewer_classes), K, fewer_classes=fewer_classes)


CLEAR = (row("dann", 1.8, 1.82, entropy=0.3), row("adamatch", 2.15, 2.17), row("source_only", 1.7, 1.71, entropy=0.4))


def test_the_best_score_comes_first_whatever_the_target_accuracy_is() -> None:
    assert names(*CLEAR) == ["adamatch", "dann", "source_only"]
    assert names(row("a", 2.0, target=10.0), row("b", 1.9, target=99.0)) == ["a", "b"]
    assert reasons(*CLEAR) == []


def test_how_many_classes_are_predicted_follows_from_the_scores() -> None:
    (one,) = rank([row("a", 2.0, entropy=0.2)], K)
    assert one.classes == pytest.approx(math.exp(2.2))
    assert not collapsed(one, K)
    assert collapsed(one, 19)


def test_what_has_collapsed_comes_last_and_is_told() -> None:
    flat = row("fixmatch", 1.2, 1.1, entropy=0.05)  # sure of a few classes
    unsure = row("source_only", 1.0, 1.05, entropy=1.0)
    assert names(flat, unsure) == ["source_only", "fixmatch"]
    assert reasons(flat, unsure)[0].endswith("mean little: fixmatch (3.3 of 10)")
    assert [each.method for each in rank([flat, unsure], K, fewer_classes=True)] == ["fixmatch", "source_only"]
    told = reasons(flat, unsure, fewer_classes=True)
    assert not any("collapse" in reason for reason in told)
    assert (
        told[0] == "the target may lack classes, and mutual_information prizes predictions that spread over all of them"
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("a", 2.1, 2.2), row("b", 2.05, 2.2)],
         r"too close: a is 0.025 ahead of b in mutual_information, and their seeds are apart by 0.106"),
        ([row("a", 2.1), row("b", 1.9)], "one seed each: nobody knows how far a method's own seeds are apart"),
        ([row("a", 2.1, 2.1, density=3.0), row("b", 1.9, 1.9, density=4.0)],
         "the scores disagree: soft_neighborhood_density says b"),
        ([row("a", 2.1, 2.11, source=80.0), row("b", 1.9, 1.91)], r"a is right on 80.0 % of the source, .* on 99.0"),
        ([row("a", 2.1, 2.11, source=20.0), row("b", 1.9, 1.91, source=24.0)],
         "too early: even on the source no method is right on more than 24.0 %"),
        ([row("mcc", 2.1, 2.11), row("b", 1.9, 1.91)], "mcc trains for what mutual_information measures"),
        ([row("a", 2.1, 2.2)], "there is nothing to compare with"),
    ],
)  # fmt: skip
def test_each_doubt_is_told(rows: list[Row], expected: str) -> None:
    (reason,) = reasons(*rows)
    assert re.match(expected, reason)
