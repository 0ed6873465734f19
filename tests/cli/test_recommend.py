"""``dacn recommend`` through the real command, its runs taken for done; a real one is slow."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dacn.cli import main
from dacn.compare import comparison
from dacn.compare.grid import Cell
from dacn.recommend import recommend as module
from dacn.run.length import Pace
from tests import made_up
from tests.report.written import write_run

RECIPE = """
model: {{backbone: {{name: small_cnn, width: 4}}, input_norm: none, norm: bn}}
algorithm: {{name: fixmatch, threshold: 0.5}}
augment: {{operations: 0, cutout: 0}}
train: {{steps: 1000, source_batch: 8, target_ratio: 1}}
data: {data}
"""
SCORES = {"adamatch": 0.65, "fixmatch": 0.5, "cdan": 0.6, "mcc": 0.55, "source_only": 0.3}


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[Cell]]:
    """Stand in for clock and processes: a step takes 10 ms, and runs leave folders."""
    asked: list[list[Cell]] = []

    def train_all(cells: list[Cell], out: Path, **options: Any) -> dict[str, str]:
        asked.append(cells)
        for cell in cells:
            if options["force"]:
                shutil.rmtree(out / cell.name)
            folder = write_run(out / cell.name, target=None, seen=None, **json.loads(cell.recipe.model_dump_json()))
            summary = json.loads((folder / "summary.json").read_text())
            score = SCORES[cell.recipe.algorithm.name] + cell.recipe.seed / 1000
            summary["label_free"] = {
                "mutual_information": score, "negative_entropy": -0.02, "batch_nuclear_norm": score,
                "soft_neighborhood_density": 5.0, "source_accuracy": 99.0,
            }  # fmt: skip
            (folder / "summary.json").write_text(json.dumps(summary))
        return {}

    monkeypatch.setattr(comparison, "train_all", train_all)
    monkeypatch.setattr(comparison, "write_tables", lambda *_: None)  # is compare's, and draws
    monkeypatch.setattr(module, "measure_pace", lambda *_: Pace(0.01, 1.0))
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE.format(data=made_up.archives(tmp_path)))
    return asked


def recommend(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["recommend", "tiny.yaml", "--device", "cpu", *arguments], catch_exceptions=False)


def test_as_many_steps_for_each_and_a_ranking(calls: list[list[Cell]]) -> None:
    result = recommend("--minutes", "5", "--json")
    assert result.exit_code == 0, result.stderr
    (cells,) = calls
    assert [cell.name for cell in cells[:4]] == [
        *("source_only/seed0", "source_only/seed1", "fixmatch/seed0", "fixmatch/seed1"),
    ]
    assert {cell.recipe.train.steps for cell in cells} == {1000}
    assert {cell.recipe.evaluate.every for cell in cells} == {1000}
    own = cells[0].recipe.algorithm
    assert len({cell.recipe.model_copy(update={"algorithm": own, "seed": 0}).to_yaml() for cell in cells}) == 1
    fixmatch: Any = cells[2].recipe.algorithm
    assert fixmatch.threshold == 0.5, "the recipe's own method keeps its keys"
    tree = json.loads(result.stdout)
    assert [each["method"] for each in tree["methods"]] == ["adamatch", "cdan", "mcc", "fixmatch", "source_only"]
    assert (tree["recommended"], tree["trustworthy"], tree["doubts"]) == ("adamatch", True, [])
    assert tree["note"].startswith("This ranking is weak")
    assert json.loads(Path("runs/tiny-recommend/recommendation.json").read_text()) == tree


def test_doubts_stand_below_the_table(calls: list[list[Cell]]) -> None:
    result = recommend("--minutes", "1.2", "--methods", "mcc,cdan,source_only", "--seeds", "0", "--out", "out")
    assert result.exit_code == 0, result.stderr
    words = " ".join(result.stdout.split())
    assert "First: cdan. The ranking cannot be trusted: - one seed each" in words
    assert "This ranking is weak: no target label was seen" in words
    assert "cdan: 10 ms a step, 1.0 s an evaluation" in result.stderr
    assert {cell.recipe.algorithm.name for cell in calls[0]} == {"mcc", "cdan", "source_only"}
    assert "short: " not in words


def test_the_same_command_goes_on_with_the_same_plan(calls: list[list[Cell]], monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("--methods", "source_only,mcc", "--seeds", "0", "--minutes")
    recommend(*few, "1")
    monkeypatch.setattr(module, "measure_pace", lambda *_: Pace(0.03, 1.0))
    assert recommend(*few, "1").exit_code == 0, "nothing is timed again"
    assert calls[1] == []
    other = recommend(*few, "1.5")
    assert other.exit_code == 2
    assert "holds a run of another recipe" in other.stderr
    assert recommend(*few, "1.5", "--force").exit_code == 0


def test_what_does_not_go_with_the_pair_is_left_out_by_name(calls: list[list[Cell]]) -> None:
    result = recommend("--minutes", "5", "--set", "data.target_classes=fewer")
    assert result.exit_code == 0, result.stderr
    assert "cdan" not in {cell.recipe.algorithm.name for cell in calls[0]}
    assert "Left out: cdan: data.target_classes: fewer: cdan, as it is set up, expects all" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "adamtch"], "--methods: got 'adamtch'; did you mean 'adamatch'?"),
        (["--minutes", "0.5"], "is too short for 5 methods with 2 seeds each"),
        (["--minutes", "0"], "0 is not in the range"),
        (["--seeds", "a"], "expected whole numbers such as 0,1,2"),
        (["--methods", "cdan", "--set", "data.target_classes=fewer"], "data.target_classes: fewer: cdan"),
        (["--set", "model.norm=bm"], "model.norm"),
    ],
)
def test_mistakes(calls: list[list[Cell]], arguments: list[str], message: str) -> None:
    result = recommend(*arguments)
    assert (result.exit_code, calls) == (2, [])
    assert message in result.stderr
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE.format(data=made_up.archives(tmp_path)).replace("1000", "20"))
    result = recommend("--minutes", "3", "--methods", "source_only,adamatch", "--json")
    assert result.exit_code == 0, result.stderr
    tree = json.loads(result.stdout)
    assert (tree["steps"], len(tree["methods"])) == (20, 2)
    assert (tmp_path / "runs" / "tiny-recommend" / "adamatch" / "seed1" / "summary.json").is_file()
