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
    VIEWS,
    draw,
    first_images,
    mistakes_grid,
    pair_grid,
    predictions_grid,
    save,
    views_figure,
)
from dacn.evaluation.grid import WRONG, ImageCanvas, enlarge, thumbnails


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
    canvas = ImageCanvas(107, 53)
    images = random_images(2, side=20)
    canvas.image(5, 11, images[0])
    canvas.image(71, 30, images[1])
    drawn = save(canvas.figure, tmp_path / "new" / "sheet.png")
    pixels = read(tmp_path / "new" / "sheet.png")
    assert pixels.shape == (53, 107, 3)
    np.testing.assert_array_equal(pixels[11:31, 5:25], images[0].permute(1, 2, 0))
    np.testing.assert_array_equal(pixels[30:50, 71:91], images[1].permute(1, 2, 0))
    assert (pixels[:11] == 255).all()
    np.testing.assert_array_equal(pixels, drawn.permute(1, 2, 0))
    assert torch.equal(draw(canvas.figure), drawn)
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


def test_thumbnails_are_squares() -> None:
    assert thumbnails(random_images(2, side=32)).shape == (2, 3, 32, 32)
    assert (thumbnails(flat_images([9], side=40)) == 9).all()
    assert thumbnails(torch.zeros(1, 3, 50, 20, dtype=torch.uint8)).shape == (1, 3, 32, 32)


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


def test_views_are_shown_by_the_pixels_that_they_were_made_from() -> None:
    source_weak, source_strong, source = views(4, seed=0)
    target_weak, target_strong, target = views(12, seed=10)
    rows = first_images(source, target)
    assert list(rows) == list(VIEWS)
    for images, row in zip((source_weak, source_strong, target_weak, target_strong), rows.values(), strict=True):
        assert row.dtype == torch.uint8
        assert torch.equal(row, images[:4]), "as many as the smaller batch has"
    assert len(first_images(target, target)["source weak"]) == 10, "at most ten"
    nothing = Views(target.weak[:0], target.strong[:0])
    assert list(first_images(source, nothing)) == ["source weak", "source strong"], "a domain that is not looked at"
    assert texts(views_figure(source, nothing))[1:] == ["source weak", "source strong"]


def test_captions_stand_below_their_images() -> None:
    _, _, source = views(2, seed=0)
    captions = {"source weak": ["is 3", "is 4"], "target weak": ["5\n(80 %) ✓", "6\n(30 %) ✗"]}
    figure = views_figure(source, source, captions)
    told = texts(figure)
    assert told[1:5] == ["source weak", "below: its label", "is 3", "is 4"]
    assert "below: pseudo-label,\n✓ kept, ✗ not" in told
    images, words = figure.axes[0].images, {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    for image, text in ((images[0], "is 3"), (images[1], "is 4"), (images[5], "6\n(30 %) ✗")):
        left, _, bottom, _ = image.get_extent()
        x, y = words[text]
        assert (x, y - bottom) == (left, 3)
    below = images[2].get_extent()[3]
    assert below - images[0].get_extent()[2] > 2 * 18, "room for two lines"


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


def test_mistakes_grid_shows_the_surest_first() -> None:
    images = flat_images(list(range(100, 160)))
    labels = torch.zeros(60, dtype=torch.int64)
    predictions = torch.ones(60, dtype=torch.int64)
    predictions[::6] = 0
    confidences = torch.linspace(0.2, 0.8, 60)
    figure = mistakes_grid(images, labels, predictions, confidences, ("cat", "dog"), "A title")
    wrong = [i for i in range(60) if i % 6]
    assert shown_greys(figure) == [100 + i for i in sorted(wrong, reverse=True)[:40]]
    assert texts(figure)[:2] == ["A title", "50 of 60 wrong, the surest 40: ✗ predicted, below it the truth"]
    assert texts(figure)[2:4] == ["✗ dog (80 %)", "is cat"]
    few = mistakes_grid(images[:2], labels[:2], predictions[:2], confidences, ("cat", "dog"), "t" * 60)
    assert texts(few)[1] == "1 of 2 wrong: ✗ predicted, below it the truth"
    assert few.get_size_inches()[0] > 6, "as wide as its title"


def test_predictions_grid_without_labels_marks_nothing() -> None:
    predictions = torch.arange(50) % 2
    figure = predictions_grid(
        random_images(50), None, predictions, torch.full((50,), 0.25), ("zebra", "hippopotamus"), "t"
    )
    assert len(figure.axes[0].images) == 40
    assert not figure.axes[0].patches
    assert set(texts(figure)[1:]) == {"zebra\n(25 %)", "hippopotam…\n(25 %)"}
