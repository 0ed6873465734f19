from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from dacn.evaluation.feature_map import feature_map, tsne
from dacn.evaluation.features import FeatureSample
from dacn.evaluation.figures import save


def sample(count: int, classes: int, known: bool = True, width: int = 6) -> FeatureSample:
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(count) % classes
    of_target = torch.arange(count) >= count // 2
    features = torch.randn(count, width, generator=generator)
    features[:, 0] += 20 * truth
    labels = torch.where(of_target & ~torch.tensor(known), -1, truth)
    zeros = torch.zeros(count, 3, 4, 4, dtype=torch.uint8)
    return FeatureSample(zeros, features, truth, torch.ones(count), labels, of_target)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_classes_that_lie_apart_stay_apart_and_it_repeats() -> None:
    data = sample(60, 3)
    points = tsne(data.features)
    np.testing.assert_array_equal(points, tsne(data.features))
    for k in range(3):
        own, other = points[data.labels == k], points[data.labels != k]
        near = np.linalg.norm(own[:, None] - own[None], axis=2)
        far = np.linalg.norm(own[:, None] - other[None], axis=2)
        nearest = np.sort(near, axis=1)[:, 1]
        assert (nearest < far.min(axis=1)).mean() > 0.9


@pytest.mark.parametrize("features", [torch.zeros(8, 3), torch.randn(9, 1), torch.randn(4, 200), torch.ones(5, 80)])
def test_degenerate_features_still_have_a_map(features: torch.Tensor) -> None:
    assert np.isfinite(tsne(features)).all()


def test_every_point_is_drawn_source_hollow_target_filled(tmp_path: Path) -> None:
    figure = feature_map(sample(40, 3), ("cat", "$dog$", "elk"), "a title")
    axes = figure.axes[0]
    counts = [len(points.get_offsets()) for points in axes.collections]
    assert sum(counts) == 40
    assert sum(counts[::2]) == 20, "source and target take turns"
    assert all(len(points.get_facecolors()) == 0 for points in axes.collections[::2])
    assert all(len(points.get_facecolors()) == 1 for points in axes.collections[1::2])
    assert words(figure) == ["cat", "$dog$", "elk"]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["source", "target", "cat", "$dog$", "elk"]
    assert figure.get_suptitle() == "a title\ntarget coloured by its true class, only to show it"
    assert float(save(figure, tmp_path / "map.png").float().std()) > 10


def test_an_unlabelled_target_is_coloured_by_predictions_and_ten_of_many_classes_are_shown() -> None:
    figure = feature_map(sample(48, 12, known=False), tuple(f"class{k}" for k in range(12)), "t")
    assert figure.get_suptitle().endswith("target coloured by the predicted class")
    assert words(figure) == [f"class{k}" for k in range(10)]
    assert sum(len(points.get_offsets()) for points in figure.axes[0].collections) == 40
