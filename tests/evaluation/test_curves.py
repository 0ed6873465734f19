import json
from pathlib import Path

import numpy as np
from PIL import Image

from dacn.evaluation.curves import curves, validator_curves
from dacn.evaluation.figures import save


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def write(metrics: Path, rows: list[dict[str, object]]) -> Path:
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return metrics


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
            "pseudo-labels (oracle, not used)": [[150, 90.0]],
        },
        "Averaged and raw weights, accuracy, %": {"target data/target context": [[100, 80.0]]},
    }
    save(figure, tmp_path / "curves.png")
    assert read(tmp_path / "curves.png").shape[1] > 1000


def test_curves_of_an_empty_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    figure = curves(tmp_path / "metrics.jsonl")
    assert [text.get_text() for text in figure.texts] == ["nothing was logged"]


def test_panels_name_their_lines(tmp_path: Path) -> None:
    row = {
        "step": 10,
        "accuracy/target_data/target_context": 80.0,
        "accuracy/target": 80.0,
        "raw/target_data/target_context": 70.0,
        "raw/target_data/source_context": 60.0,
        "oracle/ece_target": 4.0,
        "ece/source": 2.0,
        "a_distance": 1.5,
        "contexts/apart/mean": 0.5,
        "contexts/apart/backbone.layers.1": 0.5,
        "contexts/moved/a/b/mean": 0.25,
    }
    figure = curves(write(tmp_path / "metrics.jsonl", [row]))
    assert {axes.get_title(loc="left"): [line.get_label() for line in axes.lines] for axes in figure.axes} == {
        "Accuracy, % (labels only used to report)": ["target data/target context"],
        "Averaged and raw weights, accuracy, %": ["target data/target context", "raw: target data/target context"],
        "Calibration error (ECE), %": ["target (oracle, not used)", "source"],
        "Proxy A-distance of the features: 0 alike, 2 told apart": ["a distance"],
        "Distance of the contexts' Gaussians, in their std": ["contexts from each other", "a/b from where it began"],
    }
    (distance,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith("Proxy")]
    assert distance.get_ylim() == (0, 2.1)


def test_each_validators_choice_is_marked(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"step": 1, "label_free/entropy": -1.0, "label_free/snd": 4.0, "accuracy/target": 10.0},
        {"step": 2, "label_free/entropy": -0.5, "label_free/snd": 3.0, "accuracy/target": 30.0},
        {"step": 3, "label_free/entropy": -0.5, "label_free/snd": 2.0, "accuracy/target": 20.0},
    ]
    figure = validator_curves(write(tmp_path / "metrics.jsonl", rows), "snd", 1)
    assert figure.get_suptitle() == "Label-free scores: the highest chooses. snd selected step 1"
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "entropy\n★ step 3, target 20.0 %",  # of two that are the same, the later one, as selection does
        "snd (selects)\n★ step 1, target 10.0 %",
        "Target accuracy, % (oracle, not used)\nbest 30.0 %; dashed: selected",
    ]
    stars = [np.asarray(axes.lines[1].get_xydata()).tolist() for axes in figure.axes[:2]]
    assert stars == [[[3, -0.5]], [[1, 4.0]]]
    save(figure, tmp_path / "validators.png")
    assert read(tmp_path / "validators.png").std() > 10


def test_without_target_labels_the_scores_stand_alone(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"step": 1, "label_free/entropy": -1.0, "loss": 1.0}]
    figure = validator_curves(write(tmp_path / "metrics.jsonl", rows), "last", 1)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["entropy\n★ step 1"]
