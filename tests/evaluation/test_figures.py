import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dacn.batch import Views
from dacn.data.domain import Domain, DomainPair
from dacn.evaluation.figures import (
    confusion_matrix,
    curves,
    pair_grid,
    predictions_grid,
    save,
    views_figure,
    views_grid,
)
from dacn.evaluation.grid import WRONG, Sheet, enlarge


def random_images(count: int, side: int = 8, seed: int = 0) -> Tensor:
    return torch.randint(256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed)).byte()


def flat_images(greys: list[int], side: int = 8) -> Tensor:
    return torch.tensor(greys).byte()[:, None, None, None].expand(-1, 3, side, side)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def shown_greys(figure: Figure) -> list[int]:
    """What flat images the figure shows, from left to right and top to bottom."""
    images = figure.axes[0].images
    order = sorted(images, key=lambda image: (image.get_extent()[3], image.get_extent()[0]))
    return [int(np.asarray(image.get_array())[0, 0, 0]) for image in order]


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def test_saved_images_keep_their_pixels(tmp_path: Path) -> None:
    sheet = Sheet(107, 53)
    images = random_images(2, side=20)
    sheet.image(5, 11, images[0])
    sheet.image(71, 30, images[1])
    save(sheet.figure, tmp_path / "new" / "sheet.png")
    pixels = read(tmp_path / "new" / "sheet.png")
    assert pixels.shape == (53, 107, 3)
    np.testing.assert_array_equal(pixels[11:31, 5:25], images[0].permute(1, 2, 0))
    np.testing.assert_array_equal(pixels[30:50, 71:91], images[1].permute(1, 2, 0))
    assert (pixels[:11] == 255).all()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["sheet.png"]


def test_small_images_grow_by_whole_pixels_and_large_ones_shrink() -> None:
    images = random_images(2, side=40)
    large = enlarge(images)
    assert large.shape == (2, 3, 120, 120)
    for y, x in [(0, 0), (57, 119), (119, 3)]:
        assert torch.equal(large[:, :, y, x], images[:, :, y // 3, x // 3])
    small = enlarge(flat_images([70], side=192))
    assert small.shape == (1, 3, 96, 96)
    assert (small == 70).all()


@pytest.fixture
def pair() -> DomainPair:
    labels = torch.tensor([2, 0, 2, 0, 2, 0])
    source = Domain("drawn", flat_images([20, 0, 21, 1, 22, 2]), labels)
    target = Domain("photo", flat_images([100, 101, 102, 103, 104]))
    return DomainPair(name="tiny", classes=("nought", "one", "two"), source=source, target=target)


def test_pair_grid_shows_a_class_a_column(pair: DomainPair) -> None:
    figure = pair_grid(pair)
    greys = shown_greys(figure)  # two rows of source, two of target
    source, target = greys[:4], greys[4:]
    assert [grey // 20 for grey in source] == [0, 1, 0, 1], "columns are classes 0 and 2; nothing is of class 1"
    assert len(set(source)) == 4
    assert len(set(target) & set(range(100, 105))) == 4
    assert texts(figure) == ["The pair tiny", "Source drawn: labelled", "Target photo: no labels", "nought", "two"]


def test_pair_grid_depends_on_the_seed_only(pair: DomainPair) -> None:
    assert shown_greys(pair_grid(pair)) == shown_greys(pair_grid(pair))
    assert any(shown_greys(pair_grid(pair, seed=seed)) != shown_greys(pair_grid(pair)) for seed in range(1, 5))


def test_pair_grid_shows_ten_of_many_classes() -> None:
    source = Domain("source", flat_images(list(range(30))), torch.arange(30))
    names = tuple(f"a very long class name {k}" for k in range(30))
    target = Domain("target", flat_images(list(range(200, 240))))
    figure = pair_grid(DomainPair(name="many", classes=names, source=source, target=target))
    greys = shown_greys(figure)
    assert sum(grey < 30 for grey in greys) == 10, "one image of each of ten classes"
    assert sum(grey >= 200 for grey in greys) == 20


def views(count: int, seed: int) -> tuple[Tensor, Tensor, Views]:
    weak, strong = random_images(count, seed=seed), random_images(count, seed=seed + 1)
    return weak, strong, Views((weak.float() - 127.5) / 128, (strong.float() - 127.5) / 128)


def test_views_grid_has_the_pixels_that_the_views_were_made_from() -> None:
    source_weak, source_strong, source = views(4, seed=0)
    target_weak, target_strong, target = views(12, seed=10)
    grid = views_grid(source, target)
    assert grid.dtype == torch.uint8
    assert grid.shape == (3, 4 * 12, 4 * 12), "as many columns as the smaller batch has images"
    for row, images in enumerate((source_weak, source_strong, target_weak, target_strong)):
        for column in range(4):
            y, x = 12 * row + 2, 12 * column + 2
            assert torch.equal(grid[:, y : y + 8, x : x + 8], images[column])
    assert (grid[:, :2] == 255).all()
    assert views_grid(target, target).shape == (3, 4 * 12, 10 * 12), "at most ten"
    nothing = Views(target.weak[:0], target.strong[:0])
    assert torch.equal(views_grid(source, nothing), grid[:, : 2 * 12]), "a domain that is not looked at has no rows"
    assert texts(views_figure(source, nothing))[1:] == ["source weak", "source strong"]


def test_views_figure_names_its_rows(tmp_path: Path) -> None:
    source_weak, _, source = views(3, seed=0)
    figure = views_figure(source, source)
    assert texts(figure)[1:] == ["source weak", "source strong", "target weak", "target strong"]
    first = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_array_equal(first[::12, ::12], source_weak[0].permute(1, 2, 0))
    save(figure, tmp_path / "views.png")
    assert read(tmp_path / "views.png").std() > 10


def test_predictions_grid_marks_what_is_wrong(tmp_path: Path) -> None:
    images = flat_images([10, 20, 30])
    labels, predictions = torch.tensor([0, 1, 2]), torch.tensor([0, 2, 2])
    figure = predictions_grid(images, labels, predictions, torch.tensor([0.5, 0.875, 1.0]), "abc", "A title")
    shown = texts(figure)
    assert shown[:2] == ["A title", "66.7 % of 3 right; wrong: framed, ✗ predicted, below it the truth"]
    assert sorted(shown[2:]) == ["a (50 %)", "c (100 %)", "is b", "✗ c (88 %)"]
    (frame,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    wrong = next(image for image in figure.axes[0].images if np.asarray(image.get_array())[0, 0, 0] == 20)
    left, right, bottom, top = wrong.get_extent()
    assert (frame.get_x() + 2, frame.get_y() + 2) == (left, top)
    assert to_hex(frame.get_edgecolor()).upper() == WRONG
    save(figure, tmp_path / "predictions.png")
    pixels = read(tmp_path / "predictions.png")
    assert (pixels[int(top) : int(bottom), int(left) + 1 : int(right) - 1] == 20).mean() > 0.95
    assert tuple(pixels[int(top) - 2, int(left) + 20]) == tuple(bytes.fromhex(WRONG[1:]))


def test_predictions_grid_without_labels_marks_nothing() -> None:
    predictions = torch.arange(50) % 2
    figure = predictions_grid(
        random_images(50), None, predictions, torch.full((50,), 0.25), ("zebra", "hippopotamus"), "t"
    )
    assert len(figure.axes[0].images) == 40
    assert not figure.axes[0].patches
    assert set(texts(figure)[1:]) == {"zebra\n(25 %)", "hippopotam…\n(25 %)"}


def test_confusion_matrix_shows_each_rows_percentages(tmp_path: Path) -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    predictions = torch.tensor([0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 0])
    figure = confusion_matrix(labels, predictions, ("cat", "$dog$", "elk"), "test")
    (axes,) = figure.axes
    cells = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert cells == {(0, 0): "66.7", (0, 2): "33.3", (1, 0): "12.5", (1, 1): "87.5"}, "no elk, so an empty row"
    assert figure.get_suptitle() == "test\n81.8 % of 11 right"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "$dog$", "elk"]
    save(figure, tmp_path / "confusion.png")
    pixels = read(tmp_path / "confusion.png")
    assert min(pixels.shape[:2]) > 400
    assert pixels.std() > 10


def test_confusion_matrix_of_many_classes_has_no_numbers() -> None:
    labels = torch.arange(21)
    assert not texts(confusion_matrix(labels, labels, [str(k) for k in range(21)], "t"))
    assert texts(confusion_matrix(labels[:20], labels[:20], [str(k) for k in range(20)], "t")) == ["100"] * 20


def test_curves_draws_what_was_logged(tmp_path: Path) -> None:
    rows = [
        {"step": 50, "loss": 2.0, "loss/source": 1.5, "kept": 0.1, "p_source": [0.5, 0.5], "images_per_second": 9.0},
        {"step": 100, "loss": None, "loss/source": 1.0, "kept": 0.2, "accuracy/target_data/target_context": 80.0},
        {"step": 150, "loss": 0.5, "oracle/pseudo_label_accuracy": 90.0},
    ]
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    figure = curves(metrics)
    drawn = {
        axes.get_title(loc="left"): {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in axes.lines}
        for axes in figure.axes
    }
    losses = drawn["Losses"].pop("loss")
    assert losses[0] == [50, 2.0]
    assert losses[1][0] == 100
    assert np.isnan(losses[1][1]), "a gap, not a guess"
    assert losses[2] == [150, 0.5]
    assert drawn == {
        "Losses": {"loss/source": [[50, 1.5], [100, 1.0]]},
        "Pseudo-labels: kept share, threshold": {"kept": [[50, 0.1], [100, 0.2]]},
        "Accuracy, % (labels only used to report)": {
            "target data/target context": [[100, 80.0]],
            "pseudo label accuracy (oracle, not used)": [[150, 90.0]],
        },
    }
    save(figure, tmp_path / "curves.png")
    assert read(tmp_path / "curves.png").shape[1] > 1000


def test_curves_of_an_empty_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    figure = curves(tmp_path / "metrics.jsonl")
    assert [text.get_text() for text in figure.texts] == ["nothing was logged"]
