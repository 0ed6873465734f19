"""What some steps of training show, and what the method does when it is asked."""

import copy
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dacn.algorithms import AdaMatch, FixMatch
from dacn.doctor.finding import Finding, error, warning
from dacn.doctor.trial import Trial
from dacn.recipe.recipe import Recipe

RISE = 3.0
"""How many times its start a loss may be after the steps."""
RAMPS = {"target_weight": "algorithm.target_weight", "reversal": "algorithm.strength"}
"""What methods log of a weight that rises over training, and the key that says how far."""


def steps_run(recipe: Recipe, trial: Trial) -> Iterator[Finding]:
    """A step of training raises nothing."""
    if trial.problem is not None:
        yield error(
            f"step {len(trial.losses) + 1} fails: {type(trial.problem).__name__}: {trial.problem}",
            "training would stop there",
            "algorithm",
            "see the message",
        )


def loss_stays(recipe: Recipe, trial: Trial) -> Iterator[Finding]:
    """The loss is finite and does not run away within the steps."""
    if not trial.losses:
        return
    first, last = trial.losses[0], sum(trial.losses[-3:]) / len(trial.losses[-3:])
    lower = f"{recipe.optimizer.lr / 10:.1e}"
    if not all(map(math.isfinite, trial.losses)):
        yield error(
            f"the loss is not finite after {len(trial.losses)} steps (it began at {first:.3g})",
            "the run would stop there",
            "optimizer.lr",
            lower,
        )
    elif len(trial.losses) > 3 and last > RISE * max(first, 0.1):
        yield error(
            f"the loss rose from {first:.3g} to {last:.3g} in {len(trial.losses)} steps",
            f"a learning rate of {recipe.optimizer.lr:g} throws the network away before it learns anything",
            "optimizer.lr",
            lower,
        )


def gradient_reaches_all(recipe: Recipe, trial: Trial) -> Iterator[Finding]:
    """Every parameter gets a gradient, and the optimizer has it."""
    if trial.problem is not None or not trial.losses:
        return
    if trial.unreached:
        yield error(
            f"no gradient reaches {_some(trial.unreached)}",
            "these stay as they were initialized (a discriminator that ends in a softmax over one output does this, "
            "and so does a detached branch)",
            "algorithm",
            "a forward whose loss depends on them",
        )
    if trial.unknown:
        yield error(
            f"the optimizer does not have {_some(trial.unknown)}",
            "layers that are made in forward are never trained",
            "algorithm",
            "create every layer in __init__",
        )


def batches_are_mixed(recipe: Recipe, trial: Trial) -> Iterator[Finding]:
    """The labelled images of the first steps are of many classes: they are shuffled."""
    classes, drawn = len(torch.unique(torch.as_tensor(trial.pair.source.labels))), len(trial.labels)
    if not drawn or classes < 2:
        return
    expected = classes * (1 - (1 - 1 / classes) ** drawn)
    seen = len(set(trial.labels))
    if seen < 0.5 * expected:
        yield error(
            f"the first {drawn} labelled images are of {seen} of {classes} classes",
            "the images come in the order of their classes; each step unlearns what the one before learned",
            "data.source",
            "a shuffled loader",
        )


def ramps_reach_their_end(recipe: Recipe, trial: Trial) -> Iterator[Finding]:
    """A weight that rises over training is there when it ends."""
    steps = recipe.train.total_steps
    for part, key in RAMPS.items():
        value, full = trial.late.get(part), getattr(recipe.algorithm, key.split(".")[1], None)
        if value is not None and full and value < 0.9 * full:
            alpha = part == "reversal" and steps > 10
            yield warning(
                f"{part} has risen to {value:.2g} of {full:g} when training ends after {steps:,} steps",
                "the target hardly counts; a ramp built for more steps than are run never gets to its end",
                "algorithm.alpha" if alpha else "train.steps",
                "10" if alpha else "more steps, and a ramp over the actual number of them",
            )


def alignment_aligns(recipe: Recipe, trial: Trial) -> Iterator[Finding]:
    """Distribution alignment changes which class a prediction falls on."""
    algorithm = trial.method
    if not isinstance(algorithm, AdaMatch):
        return
    key, fix = "algorithm", "a ratio of class marginals, one number for each class"
    if trial.losses and float(algorithm.p_source.max() - algorithm.p_source.min()) < 1e-9:
        yield error(
            f"the source's running marginal is the same for every class after {len(trial.losses)} steps",
            "nothing is aligned with a mean over all entries at once: take it over the batch, class by class",
            key,
            fix,
        )
    classes = len(algorithm.p_source)
    source, target = (torch.full((classes,), 0.1 / max(1, classes - 1)) for _ in range(2))
    source[0], target[1] = 0.9, 0.9
    asked = _with_marginals(algorithm, source, target)
    leaning = torch.full((1, classes), 1 / classes)
    leaning[0, 1] *= 1.3  # towards class 1, which the target predicts far too often and the source hardly
    given = asked.pseudo_labels(leaning / leaning.sum())
    if int(given[0]) != 0:
        yield error(
            "pseudo-labels stay as they are, however far the class marginals of source and target differ",
            "the alignment ratio is a constant, so this is AdaMatch without distribution alignment",
            key,
            fix,
        )


def mask_divides(recipe: Recipe, trial: Trial) -> Iterator[Finding]:
    """Sure predictions become pseudo-labels, unsure ones do not, and the threshold is where it says."""
    algorithm = trial.method
    if not isinstance(algorithm, AdaMatch | FixMatch):
        return
    classes, threshold = len(trial.pair.classes), algorithm.config.threshold
    if isinstance(algorithm, AdaMatch):  # relative to the source's confidence, which is taken as all but certain
        uniform = torch.full((classes,), 1 / classes)
        threshold *= 0.999
        algorithm = _with_marginals(algorithm, uniform, uniform)
        algorithm.threshold.fill_(threshold)
    confidence = torch.linspace(1 / classes, 1 - 1e-4, 100)  # (100,)
    rest = ((1 - confidence) / max(1, classes - 1))[:, None].expand(-1, classes - 1)
    given = algorithm.pseudo_labels(torch.cat([confidence[:, None], rest], dim=1))
    keep = given[1]
    if bool(keep.all()):
        yield warning(
            f"every prediction becomes a pseudo-label, the least sure too (threshold {threshold:g}, {classes} classes)",
            "the mask is always 1: the network learns its own guesses from the first step on",
            "algorithm.threshold",
            "0.9",
        )
    elif not bool(keep.any()):
        yield warning(
            f"no prediction becomes a pseudo-label, a confidence of 0.9999 neither (threshold {threshold:g})",
            "the mask is always 0: nothing is learned from the target",
            "algorithm.threshold",
            "0.9",
        )
    elif abs(float(confidence[keep].min()) - max(threshold, 1 / classes)) > 0.03:
        yield error(
            f"a confidence of {float(confidence[keep].min()):.2f} passes a threshold of {threshold:.2f}",
            "pseudo-labels are not normalised to sum to one (by their L2 norm, 0.5 becomes 0.95)",
            "algorithm",
            "divide by the sum over the classes",
        )


TRAINING_CHECKS: dict[str, Callable[[Recipe, Trial], Iterator[Finding]]] = {
    "steps": steps_run,
    "learning rate": loss_stays,
    "gradients": gradient_reaches_all,
    "shuffling": batches_are_mixed,
    "ramps at the end": ramps_reach_their_end,
    "alignment": alignment_aligns,
    "mask": mask_divides,
}


def _with_marginals(algorithm: AdaMatch, source: Tensor, target: Tensor) -> AdaMatch:
    """Return a copy, on the CPU, that has seen these class marginals ``(K,)``."""
    asked = copy.deepcopy(algorithm).cpu()
    asked.p_source.copy_(source)
    asked.p_target_window.copy_(target.expand_as(asked.p_target_window))
    asked.batches.fill_(len(asked.p_target_window))
    return asked


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
