"""What a run tells of an unlabelled target: in summary.json, on the console, in its figures and its report."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from dacn.cli import main
from dacn.data.domain import DomainPair
from tests import made_up
from tests.run.test_run import run


def without_labels() -> DomainPair:
    return replace(made_up.pair(), target_test=None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "one"
    run(out, pair=without_labels())
    return out


def test_the_summary_says_what_unlabelled_images_tell(finished: Path) -> None:
    report = json.loads((finished / "summary.json").read_text())["unlabelled"]
    assert report["images"] == 24
    assert report["labelled"] == {"class0": 50.0, "class1": 50.0}
    assert sum(report["predicted"].values()) == pytest.approx(100)
    assert {*report["signs"]} == {
        "confidence_percent", "views_agree_percent", "mutual_information", "batch_nuclear_norm"
    }  # fmt: skip
    assert all(sign["grade"] in ("good", "middling", "bad") for sign in report["signs"].values())
    assert 0 <= report["kept"] <= 1


def test_a_resumed_run_remembers_its_first_predictions(finished: Path) -> None:
    state = torch.load(finished / "checkpoints" / "last.pt", weights_only=True)["resume"]
    assert state["first"][0] == 3
    assert len(state["first"][1]) == 24


def test_what_went_wrong_is_warned_of(tmp_path: Path) -> None:
    """A threshold that nothing passes: nothing is learned from the target."""
    summary = run(tmp_path, {"algorithm": {"name": "fixmatch", "threshold": 1.0}}, pair=without_labels())
    assert any("0.0 % of the target images are given a pseudo-label" in text for text in summary["warnings"])


def train_without_labels(columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    tree = {
        "data": {"pair": "digits", "image_size": 16, "target": {"npz": "target.npz"}},
        "model": {"backbone": {"name": "small_cnn", "width": 4}},
        "train": {"steps": 10, "source_batch": 4, "target_ratio": 1},
        "evaluate": {"every": 2, "select": "last"},
    }
    np.savez("target.npz", images=np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8))
    Path("own.yaml").write_text(yaml.safe_dump(tree))
    result = CliRunner().invoke(main, ["train", "own.yaml", "--out", "run", "--device", "cpu", "--force"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_images_without_labels_through_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = train_without_labels(80, monkeypatch)
    assert "what unlabelled target images tell (signs, no proof):" in said
    assert "  views agree " in said
    assert "predicted classes (of the source's labels): " in said
    assert "predictions changed since step 2: " in said


@pytest.mark.slow
@pytest.mark.pictures
def test_the_picture_and_the_page_of_a_target_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train_without_labels(120, monkeypatch)
    assert Path("run/figures/predictions_target.png").is_file()
    reported = CliRunner().invoke(main, ["report", "run", "--out", "page.html"])
    assert reported.exit_code == 0, reported.output
    assert "without target labels" in Path("page.html").read_text()
