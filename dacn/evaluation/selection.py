"""Checkpoint selection by one label-free score, beside what the other scores and target labels would have selected."""

import math
from dataclasses import dataclass, field

from dacn.evaluation.matrix import Evaluation

Choice = dict[str, float | None]
"""Of one validator: its best ``score``, the ``step`` that had it, and the ``target`` accuracy there, which it never
saw."""


@dataclass
class Selection:
    """What the evaluations so far have chosen. Plain values throughout: a checkpoint holds it.

    Args:
        score, step: of the checkpoint that is selected.
        oracle: the best target accuracy so far. It chooses nothing; reports show how far the selected one is from it.
        updates_to: the step at which each milestone accuracy on the target's test set was first measured.
        raw_matrix: context matrix of the weights without averaging, at the selected step.
        choices: what each validator would choose, by name.
    """

    score: float = float("-inf")
    step: int = 0
    oracle: float | None = None
    updates_to: dict[float, int | None] = field(default_factory=dict)
    raw_matrix: dict[str, float | None] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)

    def judge(self, step: int, select: str, result: Evaluation, raw_matrix: dict[str, float | None]) -> bool:
        """Take in an evaluation and return whether its checkpoint is now the selected one.

        Where two score the same the later one is taken.

        Args:
            step: steps done.
            select: name of the validator that chooses, or ``last``.
            result: of the averaged network.
            raw_matrix: of the raw one.
        """
        for name, score in result.scores.items():
            best = self.choices.get(name, {}).get("score")
            if not math.isnan(score) and (best is None or score >= best):
                self.choices[name] = {"score": score, "step": step, "target": result.target}
        if result.target is not None:
            self.oracle = max(result.target, self.oracle or 0.0)
            for accuracy, reached in self.updates_to.items():
                if reached is None and result.target >= accuracy:
                    self.updates_to[accuracy] = step
        score = float(step) if select == "last" else result.scores[select]
        score = -math.inf if math.isnan(score) else score  # such a network is chosen while there is no other
        chosen = score >= self.score
        if chosen:
            self.score, self.step, self.raw_matrix = score, step, dict(raw_matrix)
        return chosen
