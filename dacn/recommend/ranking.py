"""Ranks methods by label-free scores, and says when the ranking should not be believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dacn.evaluation.validators import SOURCE_ACCURACY, VALIDATORS
from dacn.report.rows import Row, Spread

RANKED_BY = "mutual_information"
"""The score that ranks: of all of them the one that went most often with the accuracy (docs/choosing.md)."""
ASK_FOR_IT = ("bnm", "mcc")
"""Methods whose own loss asks for what the scores measure: predictions that are sure and diverse."""
NOTE = (
    "This ranking is weak: no target label was seen, and label-free scores tell bad networks from good ones better "
    "than good ones from each other (docs/choosing.md has how far they went with the accuracy). A few labelled target "
    "images tell more."
)
_COLLAPSED = 0.5  # share of the classes that predictions must spread over
_LOST = 5.0  # points of source accuracy behind the best


@dataclass(frozen=True)
class Ranked:
    """A method's short runs.

    Args:
        method: its name.
        scores: mean and spread over its seeds, by name of the score; higher is better.
        classes: over how many classes the target's predictions spread: the exponential of the entropy of their mean.
        target: accuracy on the target's test set, which ranks nothing; None without labels.
        seconds: of a run.
    """

    method: str
    scores: dict[str, Spread]
    classes: float
    target: Spread | None
    seconds: Spread | None

    @property
    def score(self) -> Spread:
        """The one that ranks."""
        return self.scores[RANKED_BY]


def rank(rows: Sequence[Row], num_classes: int, *, fewer_classes: bool = False) -> list[Ranked]:
    """Return the methods, the best by `RANKED_BY` first; those whose predictions have collapsed come last.

    Args:
        rows: the runs of each method.
        num_classes: K.
        fewer_classes: whether the target may lack classes, so that few predicted ones are no collapse.
    """
    ranked = [_ranked(row) for row in rows]
    return sorted(
        ranked, key=lambda each: (not fewer_classes and collapsed(each, num_classes), -each.score.mean, each.method)
    )


def _ranked(row: Row) -> Ranked:
    known = {name: row.spread("label_free", name) for name in (*VALIDATORS, SOURCE_ACCURACY)}
    scores = {name: spread for name, spread in known.items() if spread is not None}
    # H(mean p) is the mutual information and the mean entropy together.
    entropy = scores["mutual_information"].mean - scores["negative_entropy"].mean
    method = str(row.runs[0].recipe["algorithm"]["name"])
    return Ranked(method, scores, math.exp(entropy), row.spread("target", "selected"), row.spread("seconds"))


def collapsed(one: Ranked, num_classes: int) -> bool:
    """Whether predictions on the target spread over less than half of the classes."""
    return one.classes < _COLLAPSED * num_classes


def doubts(ranked: Sequence[Ranked], num_classes: int, *, fewer_classes: bool = False) -> list[str]:
    """Return why the first of the ranking may not be the best; empty: nothing speaks against it but `NOTE`.

    Args:
        ranked: the best first.
        num_classes: K.
        fewer_classes: see `rank`.
    """
    first, found = ranked[0], list[str]()
    if fewer_classes:
        found.append(f"the target may lack classes, and {RANKED_BY} prizes predictions that spread over all of them")
    if not fewer_classes and (flat := [each for each in ranked if collapsed(each, num_classes)]):
        named = ", ".join(f"{each.method} ({each.classes:.1f} of {num_classes})" for each in flat)
        found.append(f"collapse: predictions spread over few classes, so that scores mean little: {named}")
    if len(ranked) < 2:
        return [*found, "there is nothing to compare with: one method alone was run"]
    rivals = [each for each in ranked[1:] if fewer_classes or not collapsed(each, num_classes)]
    if rivals:
        gap, spread = first.score.mean - rivals[0].score.mean, _spread(first, rivals[0])
        if spread is None:
            found.append("one seed each: nobody knows how far a method's own seeds are apart; give --seeds 0,1,2")
        elif gap <= spread:
            found.append(
                f"too close: {first.method} is {gap:.3g} ahead of {rivals[0].method} in {RANKED_BY}, and their seeds "
                f"are apart by {spread:.3g}"
            )
        others = {
            name: max((first, *rivals), key=lambda each: each.scores[name].mean).method
            for name in VALIDATORS
            if name != RANKED_BY and all(name in each.scores for each in (first, *rivals))
        }
        against = [f"{name} says {method}" for name, method in others.items() if method != first.method]
        if against:
            found.append(f"the scores disagree: {', '.join(against)}")
    best = max(each.scores[SOURCE_ACCURACY].mean for each in ranked)
    if best - first.scores[SOURCE_ACCURACY].mean > _LOST:
        found.append(
            f"{first.method} is right on {first.scores[SOURCE_ACCURACY].mean:.1f} % of the source, another method on "
            f"{best:.1f}: what makes its predictions sure is not what is in the images"
        )
    if best < 50 * (1 + 1 / num_classes):  # half way from chance to all
        found.append(f"too early: even on the source no method is right on more than {best:.1f} %")
    if first.method in ASK_FOR_IT:
        found.append(f"{first.method} trains for what {RANKED_BY} measures, which flatters it")
    return found


def _spread(one: Ranked, other: Ranked) -> float | None:
    """Return the larger standard deviation over seeds; None where there is one seed."""
    known = [each.score.std for each in (one, other) if each.score.std is not None]
    return max(known) if known else None
