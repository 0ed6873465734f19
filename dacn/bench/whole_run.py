"""How long a recipe will take in all: its steps and its evaluations."""

import time
from dataclasses import replace
from typing import Any

import torch

from dacn.batch import Batch
from dacn.bench.timing import wait_for
from dacn.data.domain import Domain, DomainPair
from dacn.evaluation.domain_distance import FEATURES
from dacn.evaluation.matrix import SCORED_IMAGES, evenly_spaced
from dacn.recipe.recipe import Recipe
from dacn.run.length import CPU_MINUTES, FOR_STEPS, MOST, Pace, steps_within
from dacn.trainer.trainer import OBSERVATIONS, Trainer

ASSUMED = 4000
"""Test images of data whose test sets are not known before they are read."""


def estimate(
    recipe: Recipe,
    trainer: Trainer,
    batch: Batch,
    step_seconds: float,
    test_images: int | None,
    *,
    brief: bool = False,
) -> dict[str, Any]:
    """Return the seconds of the recipe's steps and evaluations, and what they are reckoned from.

    Each evaluation takes a time of its own and so much for each test image, both measured here; views and histograms
    are shown at some of them.

    Args:
        recipe: how long training is and how often it is evaluated.
        trainer: of this recipe; it is not to be trained further.
        batch: one that it can show.
        step_seconds: what a step takes.
        test_images: how many the data have; None where nobody knows before they are read.
        brief: evaluate on few images, in about a second each time, and reckon what all of them take.
    """
    pair = whole_pair = trainer.pair
    larger = 1.0
    if brief:
        forward = step_seconds / (6 * trainer.loader.images)  # of one image: two views a step, there and back
        pair, larger = _some_images(pair, forward)
        trainer.pair = pair
    images = ASSUMED if test_images is None else test_images
    tested = sum(len(domain) for domain in (pair.source_test, pair.target_test) if domain is not None)
    with_tests = _evaluation(trainer)
    trainer.pair = replace(pair, source_test=None, target_test=None)
    without = _evaluation(trainer)
    of_image = max(0.0, with_tests - without) / max(1, tested)
    trainer.pair, without = whole_pair, larger * without
    evaluation = without + of_image * images
    steps = recipe.train.steps or _steps(recipe, Pace(step_seconds, evaluation), trainer.device)
    every = recipe.evaluate.every or max(1, steps // 10)
    evaluations = -(-steps // every)
    shown = _seconds(trainer, lambda: trainer._observe(batch))
    training = steps * step_seconds
    evaluating = evaluations * evaluation + min(evaluations, OBSERVATIONS) * shown
    return {
        "steps": steps,
        "evaluations": evaluations,
        "test_images": images,
        "test_images_are": "assumed" if test_images is None else "those of the recipe's pair",
        "training_seconds": training,
        "evaluation_seconds": evaluating,
        "seconds": training + evaluating,
        "evaluation_percent": 100 * evaluating / (training + evaluating),
    }


def _steps(recipe: Recipe, pace: Pace, device: torch.device) -> int:
    """Return the steps of a recipe that leaves them open: the most, as far as the time holds them."""
    minutes = recipe.train.minutes or (CPU_MINUTES if device.type == "cpu" else None)
    return MOST if minutes is None else min(MOST, steps_within(60 * minutes * FOR_STEPS, pace, recipe.evaluate.every))


def _evaluation(trainer: Trainer) -> float:
    """Return the seconds of a whole evaluation; what is compiled for it is compiled before."""
    if trainer.config.compiles_on(trainer.device):
        trainer._judge(trainer.evaluate())
    return _seconds(trainer, lambda: trainer._judge(trainer.evaluate()))


def _seconds(trainer: Trainer, call: Any) -> float:
    wait_for(trainer.device)
    start = time.perf_counter()
    call()
    wait_for(trainer.device)
    return time.perf_counter() - start


def _some_images(pair: DomainPair, forward: float) -> tuple[DomainPair, float]:
    """Return a pair of which so many images are evaluated as take about a second, and how many times more it has.

    Args:
        pair: the images.
        forward: seconds that one image takes.
    """
    count = max(32, int(1 / forward))

    def some(domain: Domain | None) -> Domain | None:
        return domain if domain is None or len(domain) <= count else domain.rows(evenly_spaced(domain, count))

    parts: Any = {name: some(domain) for name, domain in pair.domains.items()}
    smaller = replace(pair, **parts)
    return smaller, _scored(pair) / _scored(smaller)


def _scored(pair: DomainPair) -> int:
    """Return how many training images an evaluation passes through the network."""
    source, target = len(pair.source), len(pair.target)
    return min(target, SCORED_IMAGES) + min(source, FEATURES) + min(target, FEATURES)
