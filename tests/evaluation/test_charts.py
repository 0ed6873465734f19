from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from dacn.evaluation.calibration import reliability
from dacn.evaluation.charts import class_bars, confusion_matrix, reliability_diagram
from dacn.evaluation.figures import save
from dacn.evaluation.grid import SOURCE_COLOUR


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_confusion_matrix_shows_each_rows_percentages(tmp_path: Path) -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    predictions = torch.tensor([0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 0])
    figure = confusion_matrix(labels, predictions, ("cat", "$dog$", "elk"), "test")
    (axes,) = figure.axes
    cells = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert cells == {(0, 0): "66.7", (0, 2): "33.3", (1, 0): "12.5", (1, 1): "87.5"}, "no elk, so an empty row"
    assert figure.get_suptitle() == "test\n81.8 % of 11 right"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat (3)", "$dog$ (8)", "elk (0)"]
    save(figure, tmp_path / "confusion.png")
    pixels = read(tmp_path / "confusion.png")
    assert min(pixels.shape[:2]) > 400
    assert pixels.std() > 10


def test_confusion_matrix_of_many_classes_has_no_numbers() -> None:
    labels = torch.arange(21)
    assert not texts(confusion_matrix(labels, labels, [str(k) for k in range(21)], "t"))
    assert texts(confusion_matrix(labels[:20], labels[:20], [str(k) for k in range(20)], "t")) == ["100"] * 20


def test_reliability_diagram_says_what_it_shows(tmp_path: Path) -> None:
    probabilities = torch.tensor([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.35, 0.65]])
    bins = reliability(probabilities, torch.tensor([0, 1, 0, 0]))
    figure = reliability_diagram({"source": bins, "target": bins}, "a title")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    expected = (2 * abs(0.95 - 0.5) + abs(0.55 - 1) + abs(0.65 - 0)) / 4
    assert titles == [f"source: ECE {100 * expected:.1f} %", f"target: ECE {100 * expected:.1f} %", "", ""]
    upper, lower = figure.axes[0], figure.axes[2]
    heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in upper.patches}
    assert heights == pytest.approx({57: 100, 63: 0, 97: 50}), "bins by their middle, in percent"
    assert [round(x) for x in upper.lines[1].get_xdata()] == [55, 65, 95]
    assert sum(bar.get_height() for bar in lower.patches) == 4
    save(figure, tmp_path / "reliability.png")
    assert read(tmp_path / "reliability.png").std() > 10


def test_class_bars_stand_side_by_side(tmp_path: Path) -> None:
    rows = {"Marginals": {"source": [20.0, 80.0], "target": [30.0, 70.0]}, "F1": {"target": [50.0, 60.0]}}
    figure = class_bars(rows, ("cat", "$dog$"), "a title")
    upper, lower = figure.axes
    assert [bar.get_height() for bar in upper.patches] == [20, 80, 30, 70]
    assert to_hex(upper.patches[0].get_facecolor()).upper() == SOURCE_COLOUR
    assert upper.patches[0].get_x() + upper.patches[0].get_width() <= upper.patches[2].get_x() + 1e-9, "no overlap"
    assert [bar.get_height() for bar in lower.patches] == [50, 60]
    assert lower.patches[0].get_x() + lower.patches[0].get_width() / 2 == pytest.approx(0)
    assert [label.get_text() for label in lower.get_xticklabels()] == ["cat", "$dog$"]
    save(figure, tmp_path / "classes.png")
    assert read(tmp_path / "classes.png").std() > 10


def test_of_many_classes_the_lowest_are_shown() -> None:
    values = [float(k) for k in range(40, 0, -1)]
    figure = class_bars({"F1": {"source": values, "target": [99.0] * 40}}, [str(k) for k in range(40)], "t")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [str(k) for k in range(10, 40)]
    assert figure.get_suptitle() == "t\nthe 30 of 40 classes that are lowest in the last panel"
