import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from dacn.trainer.tracking import Tracker

VALUES: dict[str, float | list[float]] = {
    "loss": 0.8123,
    "loss/source": 0.75,
    "kept": 0.31,
    "p_source": [0.25, 0.75],
    "threshold": 0.9,
    "images_per_second": 1450.4,
}


def plain_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=40)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in (out / "metrics.jsonl").read_text().splitlines()]


def events(out: Path) -> EventAccumulator:
    return EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0}).Reload()


def scalars(out: Path, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in events(out).Scalars(tag)}


def test_jsonl_has_one_object_a_logged_step(tmp_path: Path) -> None:
    with Tracker(tmp_path, steps=100, console=plain_console()) as tracker:
        tracker.log(50, VALUES)
        tracker.log(100, {"loss": 0.5, "kept": 0.9})
        tracker.log(100, {"target/accuracy": 91.25, "kept": 1.0})
        assert len(rows(tmp_path)) == 2, "a row is in the file at once, not when the run ends"
    assert rows(tmp_path) == [
        {"step": 50, **VALUES},
        {"step": 100, "loss": 0.5, "kept": 1.0, "target/accuracy": 91.25},
    ]


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    with Tracker(tmp_path, steps=9, console=plain_console()) as tracker:
        tracker.log(1, {"loss": math.nan, "threshold": -math.inf, "p_target": [0.5, math.inf]})
    assert rows(tmp_path) == [{"step": 1, "loss": None, "threshold": None, "p_target": [0.5, None]}]


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    with Tracker(tmp_path, steps=400, console=plain_console()) as tracker:
        for step in (100, 200, 300):
            tracker.log(step, {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 350, "lo')  # the process was killed while it wrote
    with Tracker(tmp_path, steps=400, start=200, console=plain_console()) as tracker:
        assert [row["step"] for row in rows(tmp_path)] == [100, 200]
        tracker.log(250, {"loss": -1.0})
    assert rows(tmp_path) == [{"step": 100, "loss": 100.0}, {"step": 200, "loss": 200.0}, {"step": 250, "loss": -1.0}]
    assert scalars(tmp_path, "loss") == {100: 100.0, 200: 200.0, 250: -1.0}
    assert not list(tmp_path.glob("*.partial"))


def test_a_fresh_run_starts_anew(tmp_path: Path) -> None:
    for loss in (1.0, 2.0):
        with Tracker(tmp_path, steps=2, console=plain_console()) as tracker:
            tracker.log(int(loss), {"loss": loss})
    assert rows(tmp_path) == [{"step": 2, "loss": 2.0}]
    assert scalars(tmp_path, "loss") == {2: 2.0}


def test_tensorboard_gets_the_same_values(tmp_path: Path) -> None:
    with Tracker(tmp_path, steps=100, console=plain_console()) as tracker:
        tracker.log(50, VALUES)
        tracker.log(100, {"loss": 0.25, "oracle/pseudo_label_accuracy": 88.0})
    accumulated = events(tmp_path)
    assert set(accumulated.Tags()["scalars"]) == {
        *(name for name in VALUES if name != "p_source"),
        *("p_source/0", "p_source/1", "oracle, not used/pseudo_label_accuracy"),
    }
    assert scalars(tmp_path, "loss") == pytest.approx({50: 0.8123, 100: 0.25})
    assert scalars(tmp_path, "p_source/1") == {50: 0.75}
    assert scalars(tmp_path, "oracle, not used/pseudo_label_accuracy") == {100: 88.0}


def test_tensorboard_gets_images_histograms_and_text(tmp_path: Path) -> None:
    with Tracker(tmp_path, steps=1, console=plain_console()) as tracker:
        tracker.images("views", 1, torch.zeros(3, 4, 6, dtype=torch.uint8))
        tracker.histogram("context_0/mean", 1, torch.tensor([1.0, 2.0, math.nan], requires_grad=True))
        tracker.text("recipe", "seed: 0")
    accumulated = events(tmp_path)
    (image,), (histogram,) = accumulated.Images("views"), accumulated.Histograms("context_0/mean")
    assert (image.step, image.width, image.height) == (1, 6, 4)
    assert (histogram.histogram_value.num, histogram.histogram_value.sum) == (2, 3)
    assert b"seed: 0" in accumulated.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0]


def test_without_a_terminal_each_log_is_a_plain_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 20.0, 20.0])
    console = plain_console()
    with Tracker(tmp_path, steps=1200, console=console) as tracker:
        monkeypatch.setattr("dacn.trainer.tracking.time.monotonic", lambda: next(clock))
        tracker.progress(1)
        tracker.log(101, VALUES)  # 100 steps in 10 seconds, and 1099 to go
        tracker.log(101, {"target/accuracy": 91.254, "oracle/pseudo_label_accuracy": 97.0, "p_target": [0.5, 0.5]})
        tracker.notice("[bold] is not markup, and a long line is not wrapped")
    text = printed(console)
    assert text == [
        "step 101/1200  loss 0.8123  loss/source 0.75  kept 0.31  1450 images/s  1:50 left",
        "step 101/1200  target/accuracy 91.25  oracle, not used/pseudo_label_accuracy 97",
        "[bold] is not markup, and a long line is not wrapped",
    ]


def test_an_evaluation_may_be_told_in_lines_of_its_own(tmp_path: Path) -> None:
    console = plain_console()
    with Tracker(tmp_path, steps=9, console=console) as tracker:
        tracker.log(3, {"a_distance": 1.5}, "two\nlines")
    assert printed(console) == ["step 3/9  two", "          lines"]
    assert rows(tmp_path) == [{"step": 3, "a_distance": 1.5}]


def test_settings_and_final_numbers_make_no_second_run(tmp_path: Path) -> None:
    settings = {"optimizer.lr": 0.03, "train.compile": "auto", "augment.appearance": True, "data.root": None}
    with Tracker(tmp_path, steps=7, console=plain_console()) as tracker:
        tracker.hyperparameters(settings, {"final/target": 91.0})
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1, "one event file and no folder"
    assert scalars(tmp_path, "final/target") == {7: 91.0}
    parts = events(tmp_path).summary_metadata
    told = HParamsPluginData.FromString(parts["_hparams_/session_start_info"].plugin_data.content).session_start_info
    assert told.hparams["optimizer.lr"].number_value == 0.03
    assert told.hparams["train.compile"].string_value == "auto"
    assert told.hparams["augment.appearance"].string_value == "true"
    assert told.hparams["data.root"].string_value == "null"
    experiment = HParamsPluginData.FromString(parts["_hparams_/experiment"].plugin_data.content).experiment
    assert [info.name.tag for info in experiment.metric_infos] == ["final/target"]


def test_charts_of_scalars_together(tmp_path: Path) -> None:
    with Tracker(tmp_path, steps=1, console=plain_console()) as tracker:
        tracker.chart({"Losses": {"all": ["loss.*"]}})
    content = events(tmp_path).Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    (category,) = Layout.FromString(content).category
    assert (category.title, category.chart[0].title) == ("Losses", "all")
    assert list(category.chart[0].multiline.tag) == ["loss.*"]


def test_the_projector_gets_points_what_is_known_of_them_and_thumbnails(tmp_path: Path, capfd: Any) -> None:
    features, images = torch.arange(6.0).view(3, 2), torch.full((3, 3, 8, 8), 200, dtype=torch.uint8)
    columns = {"domain": ["source", "source", "target"], "class": ["a\tb", "c\nd", "e"]}
    for step in (4, 5):  # what an earlier process left goes
        with Tracker(tmp_path, steps=5, console=plain_console()) as tracker:
            tracker.embedding("features", step, features, columns, images)
    folder = tmp_path / "tensorboard"
    assert not list(folder.glob("00004/*"))
    points = [line.split("\t") for line in (folder / "00005/features/tensors.tsv").read_text().splitlines()]
    assert [[float(value) for value in point] for point in points] == features.tolist()
    metadata = (folder / "00005/features/metadata.tsv").read_text().splitlines()
    assert metadata == ["domain\tclass", "source\ta b", "source\tc d", "target\te"]
    sprite = np.asarray(Image.open(folder / "00005/features/sprite.png"))
    assert sprite.shape == (16, 16, 3), "two by two"
    assert (abs(sprite[:8].astype(int) - 200) <= 1).all()
    config = (folder / "projector_config.pbtxt").read_text()
    assert config.count("embeddings") == 1
    assert "00005/features/sprite.png" in config
    assert "warning" not in capfd.readouterr().out


def test_hours_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0])
    console = plain_console()
    with Tracker(tmp_path, steps=5002, start=1, console=console) as tracker:
        monkeypatch.setattr("dacn.trainer.tracking.time.monotonic", lambda: next(clock))
        tracker.log(1, {"loss": 1.0})
        tracker.log(2, {"loss": 1.0})
    assert printed(console) == ["step 1/5002  loss 1", "step 2/5002  loss 1  4:10:00 left"]


def test_a_live_line_shows_the_last_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with Tracker(tmp_path, steps=100, console=console) as tracker:
        tracker.log(50, VALUES)
        tracker.progress(60)
        tracker.notice("figures are written")
        tracker.log(60, {"source/accuracy": 98.5})
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    assert "figures are written" in text
    assert "step 60/100  source/accuracy 98.5" in text
    last = text.strip().splitlines()[-1]
    assert re.match(r"step 60/100 .* loss 0.8123  loss/source 0.75  kept 0.31  1450 images/s", last)


def test_warnings_are_kept_and_notices_are_not(tmp_path: Path) -> None:
    console = plain_console()
    with Tracker(tmp_path, steps=1, console=console) as tracker:
        tracker.notice("hello")
        tracker.warn("weak views do nothing")
    assert tracker.warnings == ["weak views do nothing"]
    assert printed(console) == ["hello", "warning: weak views do nothing"]


def test_an_error_closes_the_files(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, steps=2, console=plain_console())

    def fail() -> None:
        with tracker:
            tracker.log(1, {"loss": 0.5})
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert scalars(tmp_path, "loss") == {1: 0.5}
    with pytest.raises(ValueError, match="closed"):
        tracker.log(2, {"loss": 0.5})
