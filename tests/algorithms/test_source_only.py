import math

import pytest
import torch
from torch import Tensor, nn

from dacn.algorithms.source_only import SourceOnly, SourceOnlyConfig
from dacn.batch import SOURCE, TARGET, Batch, Views


class Scores(nn.Module):
    """A linear map of the flat image, which notes the contexts that it was given."""

    takes_context = True

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 12, generator=torch.Generator().manual_seed(0)))
        self.contexts: list[int] = []

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        self.contexts += context.tolist()
        return x.flatten(1) @ self.weight.T


def batch(target: float = 0.0) -> Batch:
    torch.manual_seed(1)
    images = torch.full((2, 3, 2, 2), target)
    return Batch(
        Views(torch.randn(5, 3, 2, 2), torch.randn(5, 3, 2, 2)),
        torch.tensor([0, 1, 2, 1, 1]),
        torch.full((5,), SOURCE),
        Views(images, images),
        torch.full((2,), TARGET),
    )


def test_loss_is_the_mean_cross_entropy_of_both_views() -> None:
    algorithm = SourceOnly(SourceOnlyConfig(), Scores(), 3)
    losses = algorithm(batch(), 0.3)

    weight, expected = algorithm.model.weight.tolist(), 0.0
    for view in batch().source:
        for image, label in zip(view.flatten(1).tolist(), batch().labels.tolist(), strict=True):
            scores = [sum(w * v for w, v in zip(row, image, strict=True)) for row in weight]
            expected += (math.log(sum(math.exp(s) for s in scores)) - scores[label]) / 10
    assert losses.total.item() == pytest.approx(expected, rel=1e-5)
    assert losses.parts["loss/source"].item() == losses.total.item()
    assert set(losses.parts) == {"loss/source"}


def test_target_is_not_looked_at() -> None:
    algorithm = SourceOnly(SourceOnlyConfig(), Scores(), 3)
    losses = [algorithm(batch(target), progress).total.item() for target, progress in [(0, 0), (math.nan, 1)]]
    assert losses[0] == losses[1]
    assert set(algorithm.model.contexts) == {SOURCE}
    assert not algorithm.uses_target
    assert algorithm.pseudo_labels(torch.eye(3)) is None


def test_gradient_reaches_the_model() -> None:
    algorithm = SourceOnly(SourceOnlyConfig(), Scores(), 3)
    losses = algorithm(batch(), 0.0)
    losses.total.backward()
    assert algorithm.model.weight.grad.abs().min() > 0
    assert not losses.parts["loss/source"].requires_grad


def test_without_strong_views_only_the_weak_ones_count() -> None:
    algorithm = SourceOnly(SourceOnlyConfig(strong=False), Scores(), 3)
    assert not algorithm.uses_strong
    images = batch()
    scores = images.source.weak.flatten(1) @ algorithm.model.weight.T
    expected = torch.nn.functional.cross_entropy(scores, images.labels)
    torch.testing.assert_close(algorithm(images, 0.0).total, expected)
    assert len(algorithm.model.contexts) == 5
