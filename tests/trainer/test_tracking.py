import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dacn.trainer.event_file import tag_of
from dacn.trainer.tracking import Tracker
from tests.trainer.consoles import VALUES, plain_console, printed


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
        *(tag_of(name) for name in VALUES if name != "p_source"),
        *("p_source/0", "p_source/1", "oracle, not used/pseudo_label_accuracy"),
    }
    assert scalars(tmp_path, "loss") == pytest.approx({50: 0.8123, 100: 0.25})
    assert scalars(tmp_path, "p_source/1") == {50: 0.75}
    assert scalars(tmp_path, "oracle, not used/pseudo_label_accuracy") == {100: 88.0}


def test_an_evaluation_may_be_told_in_lines_of_its_own(tmp_path: Path) -> None:
    console = plain_console()
    with Tracker(tmp_path, steps=9, console=console) as tracker:
        tracker.log(3, {"a_distance": 1.5}, "two\nlines")
    assert printed(console) == ["step 3/9  two", "          lines"]
    assert rows(tmp_path) == [{"step": 3, "a_distance": 1.5}]


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


def test_tensorboard_gets_all_that_is_not_a_number_too(tmp_path: Path) -> None:
    with Tracker(tmp_path, steps=7, console=plain_console()) as tracker:
        tracker.images("views", 1, torch.zeros(3, 4, 6, dtype=torch.uint8))
        tracker.histogram("context_0/mean", 1, torch.tensor([1.0, 2.0]))
        tracker.text("recipe", "seed: 0")
        tracker.chart({"Losses": {"all": ["loss.*"]}})
        points = {"domain": ["source", "target"], "class": ["0", "1"]}
        tracker.embedding("features", 1, torch.eye(2), points, torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
        tracker.hyperparameters({"optimizer.lr": 0.03}, {"final/target": 91.0})
    tags = events(tmp_path).Tags()
    assert (tags["images"], tags["histograms"]) == (["views"], ["context_0/mean"])
    assert set(tags["tensors"]) == {"recipe/text_summary", "custom_scalars__config__"}
    assert scalars(tmp_path, "final/target") == {7: 91.0}, "the final numbers are the last step's"
    assert (tracker.folder / "00001/features/tensors.tsv").exists()
