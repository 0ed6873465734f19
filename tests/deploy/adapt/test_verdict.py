"""What is told of a distance, and that collapses are told."""

import pytest
import torch

from dacn.deploy.adapt.verdict import describe
from dacn.deploy.adapt.watch import collapse, effective_classes


@pytest.mark.parametrize(
    ("distance", "images", "told"),
    [
        (0.002, 500, "nothing was needed: --context clinic_a"),
        (0.1, 500, "Needed, and within"),
        (0.005, 500, "Needed, and within"),
        (2.0, 500, "So far from every known context"),
        (0.1, 10, "10 images are too few"),
    ],
)
def test_distances_in_words(distance: float, images: int, told: str) -> None:
    assert told in describe({"distances": {"clinic_a": distance, "b": 3.0}, "start": "clinic_a", "images": images})


def test_a_network_without_statistics() -> None:
    assert "does not show" in describe({"distances": {}, "start": "a", "images": 100})


def test_collapse() -> None:
    spread, one = torch.eye(4).repeat(25, 1), torch.eye(4)[[0]].repeat(100, 1)
    assert collapse(spread, spread) is None
    assert collapse(one, one) is None  # the images may be of one class
    assert collapse(one, spread) == "1.0 classes in use where the frozen network used 4.0"
    assert collapse(one[:20], spread[:20]) is None  # too few to tell
    assert collapse(torch.full((60, 4), torch.nan), spread[:60]) == "predictions are no longer finite"
    assert effective_classes(torch.tensor([0, 0, 1, 1, 2, 2])) == pytest.approx(3)
