"""More steps than a run was meant to have: gone on with where the schedule allows, refused with the reason if not."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from dacn.cli import main
from dacn.errors import RecipeError
from dacn.recipe.recipe import Recipe, parse_recipe
from dacn.run.longer import require_other_length
from tests.cli.test_mistakes import draw

LAST = Path("last.pt")
TINY = """
data: {source: {folder: photos}, target: {folder: sketches}, image_size: 16}
model: {backbone: {name: small_cnn, width: 4}, input_norm: none, norm: bn}
algorithm: source_only
train: {source_batch: 4, target_ratio: 1}
evaluate: {every: 2}
"""


def of(steps: int, **schedule: object) -> Recipe:
    return parse_recipe({"train": {"steps": steps}, "schedule": schedule}, "test")


@pytest.mark.parametrize(
    ("schedule", "step", "old", "new"),
    [
        ({"name": "constant"}, 100, 100, 200),
        ({"name": "constant"}, 60, 100, 70),
        ({"name": "constant", "warm_up": 0.1}, 100, 100, 200),
        ({"name": "cosine", "end": 1.0}, 100, 100, 200),
        ({"name": "cosine"}, 0, 100, 200),
    ],
)
def test_the_rate_is_the_same_at_this_step(schedule: dict[str, object], step: int, old: int, new: int) -> None:
    told = require_other_length(LAST, step, of(old, **schedule), of(new, **schedule))
    assert told.startswith(f"a run of {old} steps goes on to {new}")


@pytest.mark.parametrize(
    ("schedule", "step", "old", "new", "told"),
    [
        ({"name": "cosine", "end": 0.25}, 100, 100, 200, "cosine, is spread over all of them: after step 100 the "
         "learning rate is at 25.0 % in the one and at 79.1 % in the other"),
        ({"name": "inverse"}, 100, 100, 200, "inverse, is spread over"),
        ({"name": "constant", "warm_up": 0.5}, 60, 100, 200, "at 100.0 % in the one and at 60.0 % in the other"),
        ({"name": "constant"}, 100, 100, 70, "has done 100 steps already, and train.steps is 70"),
    ],
)  # fmt: skip
def test_why_not(schedule: dict[str, object], step: int, old: int, new: int, told: str) -> None:
    with pytest.raises(RecipeError) as error:
        require_other_length(LAST, step, of(old, **schedule), of(new, **schedule))
    assert told in str(error.value)


def train(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["train", "own.yaml", "--out", "run", *arguments])


def test_a_finished_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(TINY)
    for seed, name in enumerate(("photos", "sketches")):
        draw(tmp_path / name, ("cat", "dog"), seed=seed)
    constant = ("--set", "schedule=constant")
    assert train(*constant, "--set", "train.steps=4").exit_code == 0
    result = train(*constant, "--set", "train.steps=6", "--resume")
    assert result.exit_code == 0, result.output
    assert "warning: a run of 4 steps goes on to 6: 67 % of training are done, which were 100 %" in result.stdout
    assert json.loads(Path("run/summary.json").read_text())["steps"] == 6
    steps = [json.loads(line)["step"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]
    longer = torch.load("run/checkpoints/last.pt", weights_only=True)
    assert train(*constant, "--set", "train.steps=6", "--force").exit_code == 0
    whole = torch.load("run/checkpoints/last.pt", weights_only=True)
    for name, value in whole["model"].items():
        torch.testing.assert_close(longer["model"][name], value, msg=name)
    result = train(*constant, "--set", "train.steps=8", "--set", "seed=1", "--resume")
    assert result.exit_code == 2
    assert "started with another recipe; seed, train.steps differ" in result.stderr
    result = train("--set", "train.steps=6", "--resume")
    assert "schedule" in result.stderr
