"""How long a run is where the recipe leaves it open."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner

from dacn.cli import main
from dacn.errors import RecipeError
from dacn.recipe.recipe import Recipe, load_recipe, parse_recipe
from dacn.run.build import build_algorithm
from dacn.run.length import Pace, as_decided, measure_pace, steps_of_passes, steps_within, with_length
from dacn.trainer.config import TrainConfig
from tests import made_up
from tests.interrupting import interrupt_after

TINY: dict[str, Any] = {
    "data": {"pair": "digits", "image_size": 16},
    "model": {"backbone": {"name": "small_cnn", "width": 4}},
    "train": {"minutes": 0.05, "source_batch": 4, "target_ratio": 1, "log_every": 2},
    "evaluate": {"every": 7},
}


def recipe(**train: Any) -> Recipe:
    return parse_recipe({**TINY, "evaluate": {}, "train": {"source_batch": 4, "target_ratio": 1, **train}}, "test")


@pytest.mark.parametrize(
    ("seconds", "pace", "every", "steps"),
    [
        (600.0, Pace(0.5, 0.0), None, 1200),
        (600.0, Pace(0.5, 6.0), None, 1080),  # ten evaluations leave 540 s
        (600.0, Pace(0.5, 6.0), 30, 850),  # 0.5 + 6/30 s each: 857, in tens
        (30.0, Pace(0.1, 6.0), None, 4),  # each of so few steps is evaluated
        (0.1, Pace(1.0, 1.0), None, 1),
        (7.5, Pace(0.1, 0.0), None, 75),
    ],
)
def test_steps_and_their_evaluations_fit_into_the_time(
    seconds: float, pace: Pace, every: int | None, steps: int
) -> None:
    assert steps_within(seconds, pace, every) == steps
    between = every or max(1, steps // 10)
    evaluations = -(-steps // between)
    assert steps == 1 or steps * pace.step + evaluations * pace.evaluation <= seconds + pace.evaluation


@pytest.mark.parametrize(
    ("source", "target", "steps"),
    [(100, 100, 5_000), (100, 15, 1_000), (12_000, 15, 3_000), (100, 3_000_000, 131_072)],
)
def test_passes_over_the_target_within_bounds(source: int, target: int, steps: int) -> None:
    pair = made_up.pair()
    few = recipe()
    algorithm = build_algorithm(few, pair)

    def of(count: int, domain: Any) -> Any:
        row = domain.rows(torch.zeros(1, dtype=torch.int64))
        return replace(
            row,
            images=row.images.expand(count, -1, -1, -1),
            labels=None if row.labels is None else row.labels.expand(count),
        )

    pair = replace(pair, source=of(source, pair.source), target=of(target, pair.target))
    assert steps_of_passes(few, algorithm, pair) == steps


def test_the_default_follows_the_images_and_on_a_cpu_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = made_up.pair()
    algorithm = build_algorithm(recipe(), pair)
    monkeypatch.setattr("dacn.run.length.measure_pace", lambda *_: Pace(0.01, 0.1))
    chosen, told = with_length(recipe(), algorithm, pair)
    assert (chosen.train.steps, chosen.train.minutes) == (1200, None)  # 24 images, 4 at a time, 200 times
    assert told is not None
    assert told.startswith("1,200 steps: 200 passes over the 24 blues images; about 13 seconds at 100 steps a second")
    monkeypatch.setattr("dacn.run.length.measure_pace", lambda *_: Pace(2.0, 30.0))
    chosen, told = with_length(recipe(), algorithm, pair)
    assert chosen.train.steps == 420
    assert told == (
        "420 steps: what 20 minutes hold on this CPU at 2 s a step and 30 s an evaluation, as measured "
        "(train.steps or train.minutes sets another length)"
    )
    chosen, told = with_length(recipe(minutes=40), algorithm, pair)
    assert (chosen.train.steps, chosen.train.minutes) == (990, None)
    assert told is not None
    assert told.startswith("990 steps: what 40 minutes hold at 2 s a step")
    assert with_length(recipe(steps=7), algorithm, pair) == (recipe(steps=7), None)


def test_what_is_left_open_beside_the_length_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches suit the CPU and the average spans a tenth of the run; what the recipe says stays, as in a longer one."""
    pair = made_up.pair()
    monkeypatch.setattr("dacn.run.length.measure_pace", lambda *_: Pace(2.0, 30.0))

    def train(**parts: Any) -> tuple[Any, ...]:
        tree = {"data": {"pair": "digits"}, "model": TINY["model"], "train": parts}
        chosen, _ = with_length(parse_recipe(tree, "test"), build_algorithm(recipe(), pair), pair)
        return chosen.train.steps, chosen.train.source_batch, chosen.train.target_ratio, chosen.train.ema

    assert train() == (420, 32, 2, 0.9762)
    assert train(minutes=40) == (990, 32, 2, 0.9899)
    assert train(target_ratio=1, ema=0.99) == (420, 64, 1, 0.99)
    assert train(steps=420) == (420, 64, 3, 0.999)
    assert train(minutes=40_000) == (1_140_000 - 150, 32, 2, 0.999)


def test_what_a_recipe_says_now_is_not_overruled_by_what_was_decided_before() -> None:
    decided = {"steps": 50, "source_batch": 32, "target_ratio": 2, "ema": 0.9}
    kept = as_decided(TrainConfig(source_batch=8), decided)
    assert (kept.steps, kept.source_batch, kept.target_ratio, kept.ema) == (50, 8, 2, 0.9)
    assert as_decided(TrainConfig(ema=0.5, minutes=3), {"steps": 50}).ema == 0.5
    assert as_decided(TrainConfig(), {"steps": 50}).ema == 0.8


def test_measuring_leaves_the_run_as_it_was() -> None:
    pair = made_up.pair()
    algorithm = build_algorithm(recipe(), pair)
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    random_state = torch.get_rng_state()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dacn.run.length.MEASURED_SECONDS", 0.0)
        pace = measure_pace(recipe(), algorithm, pair)
    assert pace.step > 0
    assert pace.evaluation > 0
    torch.testing.assert_close(dict(algorithm.state_dict()), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_two_lengths_are_a_mistake() -> None:
    with pytest.raises(RecipeError, match=r"train\.steps 5 and train\.minutes 20 both say how long: give one"):
        recipe(steps=5, minutes=20)
    with pytest.raises(RecipeError, match=r"train\.minutes: got 0, expected a number above 0"):
        recipe(minutes=0)


def dacn(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return result.output


def numbers(run: Path) -> list[dict[str, Any]]:
    """What a run measured, but for the time that it took."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "images_per_second"} for row in rows]


def test_minutes_become_steps_that_repeat_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dacn.run.length.measure_pace", lambda *_: Pace(0.4, 0.0))
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    said = dacn("train", "tiny.yaml", "--out", "first")
    steps = json.loads(Path("first/summary.json").read_text())["steps"]
    assert steps == 7  # 3 s less a twentieth, at 0.4 s
    assert re.search(r"7 steps: what 0.05 minutes hold at 0.4 s a step", said)
    kept = load_recipe("first/recipe.yaml").train
    assert (kept.steps, kept.minutes) == (7, None)
    assert "7 steps: what" not in dacn("train", "first/recipe.yaml", "--out", "again")
    assert numbers(Path("again")) == numbers(Path("first"))
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 3)
        assert CliRunner().invoke(main, ["train", "tiny.yaml", "--out", "cut", "--device", "cpu"]).exit_code == 130
    monkeypatch.setattr("dacn.run.length.measure_pace", lambda *_: Pace(0.001, 0.0))  # the machine is faster now
    dacn("train", "tiny.yaml", "--out", "cut", "--resume")
    assert numbers(Path("cut"))[-1] == numbers(Path("first"))[-1]


def test_a_run_on_a_cpu_keeps_what_followed_from_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the command, whose way to the run copies the recipe: into the run's own recipe, and on after a stop."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dacn.run.length.measure_pace", lambda *_: Pace(0.4, 0.0))
    monkeypatch.setattr("dacn.trainer.config.CPU_BATCH", {"source_batch": 5, "target_ratio": 1})
    Path("tiny.yaml").write_text(yaml.safe_dump({**TINY, "train": {"minutes": 0.15}}))
    said = dacn("train", "tiny.yaml", "--out", "first")
    assert "21 steps: what 0.15 minutes hold at 0.4 s a step" in said
    assert "as measured, of 5 + 5 images each" in " ".join(said.split())
    kept = load_recipe("first/recipe.yaml").train
    assert (kept.steps, kept.source_batch, kept.target_ratio, kept.ema) == (21, 5, 1, 0.5238)
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 3)
        assert CliRunner().invoke(main, ["train", "tiny.yaml", "--out", "cut", "--device", "cpu"]).exit_code == 130
    dacn("train", "tiny.yaml", "--out", "cut", "--resume")
    assert numbers(Path("cut"))[-1] == numbers(Path("first"))[-1]
