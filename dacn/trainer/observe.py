"""What a run shows of itself beside its losses."""

import torch
from torch import nn

from dacn.algorithms.base import Algorithm
from dacn.batch import Batch
from dacn.data.domain import Domain
from dacn.evaluation.figures import views_grid
from dacn.evaluation.matrix import Evaluation
from dacn.nn import ContextNorm
from dacn.tracking import Tracker


def observe_views(tracker: Tracker, batch: Batch, step: int) -> None:
    """Show a few images as training sees them: weak and strong views of both domains."""
    tracker.images("views", step, views_grid(batch.source, batch.target))


@torch.no_grad()
def observe_contexts(tracker: Tracker, model: nn.Module, step: int) -> None:
    """Show how the channels' means and standard deviations are spread in each context of each layer."""
    for name, layer in model.named_modules():
        if isinstance(layer, ContextNorm):
            mean, var = layer.tables()
            for k in range(layer.num_contexts):
                tracker.histogram(f"context_{k}/{name}/mean", step, mean[k])
                tracker.histogram(f"context_{k}/{name}/std", step, var[k].sqrt())


def pseudo_label_quality(algorithm: Algorithm, evaluation: Evaluation, test: Domain | None) -> dict[str, float]:
    """Return how many test images would be given a pseudo-label, and how many of those rightly.

    The labels of the target's training images are out of reach, so its test set stands in. Logged as *oracle*: nothing
    uses it.
    """
    if test is None or test.labels is None or evaluation.target_probabilities is None:
        return {}
    given = algorithm.pseudo_labels(evaluation.target_probabilities)
    if given is None:
        return {}
    labels, keep = given
    right = (labels == test.labels)[keep].float()
    quality = {"oracle/pseudo_label_kept": float(keep.float().mean())}
    return quality | ({"oracle/pseudo_label_accuracy": 100 * float(right.mean())} if len(right) else {})
