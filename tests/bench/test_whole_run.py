"""What a recipe will take in all, against a sum by hand; and the time in which a GPU works."""

from typing import Any

import pytest
import torch

from dacn.bench import whole_run
from dacn.bench.busy import busy_seconds, covered
from dacn.bench.setting import images_tested, setting_of
from dacn.bench.step import Bench
from dacn.recipe.recipe import parse_recipe

CPU = torch.device("cpu")
FOLDERS = {"source": {"folder": "a"}, "target": {"folder": "b"}, "image_size": 8}
TINY = {
    "data": FOLDERS,
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 100, "source_batch": 4, "target_ratio": 1},
    "evaluate": {"every": 3},
}


@pytest.mark.parametrize(
    ("data", "count"),
    [
        ({"pair": "mnist_svhn"}, 10_000 + 26_032),
        ({"pair": "digits"}, 445 + 1780),
        ({"pair": "office31_amazon_dslr"}, 498),
        ({"pair": "mnist_svhn", "target_test": {"folder": "own"}}, None),
        (FOLDERS, None),
    ],
)
def test_test_images_are_those_of_a_pair_that_is_known(data: dict[str, Any], count: int | None) -> None:
    assert images_tested(setting_of(parse_recipe(TINY | {"data": data}, "test"))) == count


@pytest.mark.parametrize("data", [FOLDERS, {"pair": "mnist_svhn", "image_size": 8}])
def test_the_whole_run_is_steps_and_evaluations(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    setting = setting_of(parse_recipe(TINY | {"data": data}, "test"))
    with Bench(setting, CPU) as bench:
        clock = iter([0.0, 3.0, 10.0, 12.0, 20.0, 20.5])  # with tests 3 s, without 2, shown half a second
        monkeypatch.setattr(whole_run.time, "perf_counter", lambda: next(clock))
        monkeypatch.setattr(bench.trainer, "_judge", lambda result: None)
        monkeypatch.setattr(bench.trainer, "evaluate", lambda: None)
        monkeypatch.setattr(bench.trainer, "_observe", lambda batch: None)
        result = bench.whole_run(0.25)
    images = 4000 if data is FOLDERS else 36_032
    assert result["test_images"] == images
    assert (result["steps"], result["evaluations"]) == (100, 34)
    assert result["training_seconds"] == 25
    assert result["evaluation_seconds"] == pytest.approx(34 * (2 + images * 1 / 1000) + 10 * 0.5)
    assert result["seconds"] == pytest.approx(result["training_seconds"] + result["evaluation_seconds"])
    assert result["evaluation_percent"] == pytest.approx(100 * result["evaluation_seconds"] / result["seconds"])


def test_an_evaluation_is_really_made() -> None:
    with Bench(setting_of(parse_recipe(TINY, "test")), CPU) as bench:
        pair = bench.trainer.pair
        result = bench.whole_run(0.25)
        assert bench.trainer.pair is pair
        assert result["evaluation_seconds"] > 0
        assert set(bench.trainer.selection.raw_matrix) >= {"target_data/target_context"}


def test_spans_that_overlap_count_once() -> None:
    spans = [(4.0, 6.0), (0.0, 2.0), (1.0, 3.0), (4.5, 5.0), (6.0, 7.0)]
    grid = torch.arange(0, 8, 0.25)
    by_hand = sum(any(a <= t < b for a, b in spans) for t in grid.tolist()) * 0.25
    assert covered(spans) == by_hand == 6.0
    assert covered([]) == 0


def test_a_cpu_has_no_such_time() -> None:
    assert busy_seconds(lambda: pytest.fail("called"), CPU) is None
