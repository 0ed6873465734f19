"""What `dacn bench` measures on a GPU only, as far as a CPU can show it."""

from typing import Any

import pytest
import torch

from dacn.bench import report
from dacn.bench.report import _measure_compiled
from dacn.bench.setting import Setting, setting_of
from dacn.cli.bench_tables import print_bench
from dacn.recipe.recipe import parse_recipe

CPU = torch.device("cpu")
TINY = {
    "data": {"source": {"folder": "a"}, "target": {"folder": "b"}, "image_size": 8},
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"steps": 50, "source_batch": 4, "target_ratio": 1},
}


def setting(**train: Any) -> Setting:
    return setting_of(parse_recipe(TINY | {"train": TINY["train"] | train}, "test"))


def test_each_way_to_compile_is_measured_against_the_bare_network_and_the_bound() -> None:
    result = _measure_compiled(setting(compile=True), CPU, 2, False, most=1e6)
    assert isinstance(result, dict)
    assert result["images_per_second"] > 0
    assert result["bare_images_per_second"] > 0
    assert result["share_percent"] == pytest.approx(100 * result["images_per_second"] / 1e6)


def test_a_way_to_compile_that_fails_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no such driver\nand a long trace")

    monkeypatch.setattr(report, "Bench", refuse)
    assert _measure_compiled(setting(), CPU, 2, "graphs", most=1.0) == "no such driver"


def test_the_table_of_a_gpu_has_a_row_for_each_way_to_compile(capsys: pytest.CaptureFixture[str]) -> None:
    way = {"images_per_second": 98765.4, "bare_images_per_second": 1e5, "overhead_percent": 7.0, "share_percent": 40.0}
    print_bench(report.measure(setting().recipe, CPU, 1, [(4, 8, 2, 2)]) | {"compile": {"with": way, "graphs": "no"}})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["with", "torch.compile", "98,765", "1.07"] in rows
    assert ["with", "it", "and", "CUDA", "graphs", "no", "-"] in rows


def test_a_recipe_that_graphs_cannot_replay_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dacn.trainer.config.TrainConfig.graphs_on", lambda self, device: self.compile == "graphs")
    reason = _measure_compiled(setting(micro_batches=2), CPU, 1, "graphs", most=1.0)
    assert isinstance(reason, str)
    assert reason.startswith("train.compile: graphs replays a whole step by one GPU, so it needs train.micro_batches 1")


@pytest.mark.parametrize(("given", "own"), [("auto", True), (True, True), (False, False), ("graphs", "graphs")])
def test_the_recipes_own_way_to_compile_is_measured_once(
    given: Any, own: bool | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = {"images_per_second": 50.0, "bare_images_per_second": 60.0, "overhead_percent": 20.0}
    asked: list[bool | str] = []
    bounds = {"images_per_second": 200.0}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: self)
    monkeypatch.setattr(report, "_measure_step", lambda *_: {"step": step, "bounds": bounds})
    monkeypatch.setattr(
        report, "_measure_compiled", lambda setting, device, rounds, way, most: asked.append(way) or "other"
    )
    monkeypatch.setattr(report, "compare_augmentation", lambda *_: {})
    result = report.measure(setting(compile=given).recipe, torch.device("cuda"), 2, [])
    assert asked == [way for way in (False, True, "graphs") if way != own]
    name = {False: "without", True: "with", "graphs": "graphs"}[own]
    assert result["compile"].pop(name) == step | {"share_percent": 25.0}
    assert [*result["compile"].values()] == ["other", "other"]
