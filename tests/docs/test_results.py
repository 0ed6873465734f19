"""The published tables are those of the recorded runs, and the script that says so can say otherwise."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from dacn.recipe.yaml import to_yaml
from tests.report.written import RECIPE, norm, write_run

REPOSITORY = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    """Import a script of recipes/results."""
    spec = importlib.util.spec_from_file_location(f"results_{name}", REPOSITORY / "recipes" / "results" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("tables")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one recipe, two rows and three runs: two of the first row, one of no row."""
    (tmp_path / "recipes" / "results").mkdir(parents=True)
    (tmp_path / "recipes" / "trial.yaml").write_text(to_yaml(RECIPE))
    rows = (
        "pairs:\n- {row: one, recipe: trial}\n- {row: two, recipe: trial, set: ['model.norm={name: bn, momentum: 1}']}"
    )
    (tmp_path / "recipes" / "results" / "rows.yaml").write_text(rows)
    (tmp_path / "recipes" / "results" / "runs.json").write_text("[]")
    (tmp_path / "recipes" / "results" / "headline.yaml").write_text(
        "columns: [ours, ceiling]\npairs:\n  near: {ours: [pairs, one], ceiling: [pairs, two]}"
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "results.md").write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    (tmp_path / "README.md").write_text("first\n<!-- headline -->\nold\n<!-- end of headline -->\nlast\n")
    write_run(tmp_path / "runs" / "a", seed=0, target=90.0, data={"pair": "digits", "root": "elsewhere"})
    write_run(tmp_path / "runs" / "b", seed=1, target=80.0)
    write_run(tmp_path / "runs" / "c", seed=0, target=70.0, **norm("cn"))
    for folder in (tmp_path / "runs").iterdir():
        file = folder / "environment.json"
        known = {"commit": "1234567", "started": "2026-11-25T12:00:00+00:00"}
        file.write_text(json.dumps(json.loads(file.read_text()) | known))
    return tmp_path


def call(script: ModuleType, root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(script.main, [*arguments, "--root", str(root)])


def test_the_pages_show_the_recorded_runs(script: ModuleType) -> None:
    result = call(script, REPOSITORY, "--check")
    assert result.exit_code == 0, result.output
    records = json.loads((REPOSITORY / "recipes" / "results" / "runs.json").read_text())
    assert all(record["commit"] and not record["commit"].endswith("+") for record in records), "on committed code"


def test_runs_are_taken_over(script: ModuleType, root: Path) -> None:
    result = call(script, root, str(root / "runs"))
    assert result.output == "2 run(s) taken over; the tables show 2.\n"
    page = (root / "docs" / "results.md").read_text()
    assert page.startswith("before\n<!-- results -->\n## pairs\n\n| row | last |")
    assert page.endswith("<!-- end of results -->\nafter\n")
    numbers = "84.0 | **85.0 ± 7.1** | 86.0 | 90.0 / 80.0 | - | 83.0 | 99.0"
    assert f"| one | {numbers} | 1234567 of 2026-11-25 |" in page.splitlines()
    assert "dacn compare recipes/trial.yaml --seeds 0,1" in page.splitlines(), "the command, behind a fold"
    assert "two" not in page, "not measured"
    assert "![pairs](pictures/results_pairs.png)" in page
    assert (root / "docs" / "pictures" / "results_pairs.png").read_bytes().startswith(b"\x89PNG")
    readme = "first\n<!-- headline -->\n|  | ours | ceiling |\n| --- | ---: | ---: |\n| near | 85.0 ± 7.1 | - |\n"
    assert (root / "README.md").read_text() == f"{readme}<!-- end of headline -->\nlast\n"
    assert call(script, root, "--check", str(root / "runs")).output == "Pages, records and 2 run(s) agree.\n"


def test_the_same_numbers_of_another_commit_agree(script: ModuleType, root: Path) -> None:
    call(script, root, str(root / "runs"))
    for folder in (root / "runs").iterdir():
        file = folder / "environment.json"
        file.write_text(file.read_text().replace("1234567", "7654321"))
    assert call(script, root, "--check", str(root / "runs")).output == "Pages, records and 2 run(s) agree.\n"


def test_disagreement_is_named_and_nothing_is_changed(script: ModuleType, root: Path) -> None:
    call(script, root, str(root / "runs"))
    page = root / "docs" / "results.md"
    changed = page.read_text().replace("85.0", "95.0")
    page.write_text(changed)
    result = call(script, root, "--check")
    assert result.exit_code == 1
    assert "docs/results.md: other tables than recipes/results has" in result.output
    assert page.read_text() == changed
    summary = root / "runs" / "b" / "summary.json"
    summary.write_text(summary.read_text().replace('"selected": 80.0', '"selected": 88.0'))
    result = call(script, root, "--check", str(root / "runs"))
    assert result.exit_code == 1
    assert (
        "recipes/trial.yaml --seed 1: recorded as last 79.0, selected 80.0, oracle 81.0, source 99.0" in result.output
    )
    assert "the run has last 79.0, selected 88.0" in result.output
    (root / "recipes" / "results" / "runs.json").write_text("[]")
    assert "recipes/trial.yaml --seed 0: has no record" in call(script, root, "--check", str(root / "runs")).output


def test_a_folder_without_runs(script: ModuleType, root: Path) -> None:
    result = call(script, root, str(root / "recipes"))
    assert result.exit_code == 1
    assert "holds no run" in result.output


def test_a_row_of_classification_has_its_three_contexts(script: ModuleType) -> None:
    """Of a context that is derived from the label the inferred one counts."""
    run = {"commit": "1234567", "started": "2026-11-25", "updates_to": {"75": 1500, "80": None}}
    scores = {"known": 90.0, "inferred": 80.0, "unknown": 70.0}
    for leaks, counts in ((True, "80.0"), (False, "90.0")):
        line = script.classification_line("x", [run | {"contexts": scores | {"leaks": leaks}}])
        assert line == (f"| x | **{counts}** | {counts} | 90.0 | 80.0 | 70.0 | 1,500 | - | 1234567 of 2026-11-25 |")


def test_the_page_has_the_recorded_rank_correlations() -> None:
    script = load("label_free")
    result = CliRunner().invoke(script.main, ["--check"])
    assert result.exit_code == 0, result.output


def test_rank_correlations_by_hand(tmp_path: Path) -> None:
    script = load("label_free")
    for seed, (score, target) in enumerate([(0.1, 50.0), (0.2, 70.0), (0.3, 60.0), (0.4, 90.0)]):
        folder = write_run(tmp_path / "runs" / str(seed), seed=seed, algorithm={"name": "adamatch"})
        rows = [{"step": 1, "loss": 0.5}, {"step": 20, "accuracy/target": target}]
        rows[1] |= {f"label_free/{name}": -score if name == "source_accuracy" else score for name in script.SCORES}
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_run(tmp_path / "runs" / "unfinished", finished=False)
    (tmp_path / "runs" / "unfinished" / "metrics.jsonl").write_text("")
    (tmp_path / "recipes" / "results").mkdir(parents=True)
    (tmp_path / "recipes" / "results" / "label_free.json").write_text("[]")
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "choosing.md"
    page.write_text("before\n<!-- label-free -->\n<!-- end of label-free -->\nafter\n")
    for _ in range(2):  # taken over twice, a run counts once
        result = CliRunner().invoke(script.main, [str(tmp_path / "runs"), "--root", str(tmp_path)])
        assert result.output == "4 run(s) in the table.\n"
    # Ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15) = 0.8.
    assert "| digits | runs, at their end | 4 | +0.80 | +0.80 | +0.80 | +0.80 | -0.80 |" in page.read_text()
    assert page.read_text().endswith("<!-- end of label-free -->\nafter\n")
