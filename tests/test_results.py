"""The README's tables of results are those of the recorded runs, and the script that says so can say otherwise."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from dacn.recipe.yaml import to_yaml
from tests.report.written import RECIPE, norm, write_run

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results", REPOSITORY / "recipes" / "results" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    (tmp_path / "README.md").write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
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


def test_the_readme_shows_the_recorded_runs(script: ModuleType) -> None:
    result = call(script, REPOSITORY, "--check")
    assert result.exit_code == 0, result.output
    records = json.loads((REPOSITORY / "recipes" / "results" / "runs.json").read_text())
    assert all(record["commit"] and not record["commit"].endswith("+") for record in records), "on committed code"


def test_runs_are_taken_over(script: ModuleType, root: Path) -> None:
    result = call(script, root, str(root / "runs"))
    assert result.output == "2 run(s) taken over; the tables show 2.\n"
    readme = (root / "README.md").read_text()
    assert readme.startswith("before\n<!-- results -->\n| pairs | recipe | last |")
    assert readme.endswith("<!-- end of results -->\nafter\n")
    numbers = "84.0 | **85.0 ± 7.1** | 86.0 | 90.0 / 80.0 | - | 83.0 | 99.0"
    assert f"| one | `recipes/trial.yaml` | {numbers} | 1234567 of 2026-11-25 |" in readme.splitlines()
    assert "two" not in readme, "not measured"
    assert "![pairs](recipes/pictures/results_pairs.png)" in readme
    assert (root / "recipes" / "pictures" / "results_pairs.png").read_bytes().startswith(b"\x89PNG")
    assert call(script, root, "--check", str(root / "runs")).output == "README, records and 2 run(s) agree.\n"


def test_the_same_numbers_of_another_commit_agree(script: ModuleType, root: Path) -> None:
    call(script, root, str(root / "runs"))
    for folder in (root / "runs").iterdir():
        file = folder / "environment.json"
        file.write_text(file.read_text().replace("1234567", "7654321"))
    assert call(script, root, "--check", str(root / "runs")).output == "README, records and 2 run(s) agree.\n"


def test_disagreement_is_named_and_nothing_is_changed(script: ModuleType, root: Path) -> None:
    call(script, root, str(root / "runs"))
    readme = root / "README.md"
    changed = readme.read_text().replace("85.0", "95.0")
    readme.write_text(changed)
    result = call(script, root, "--check")
    assert result.exit_code == 1
    assert "README.md: its tables are not those of recipes/results" in result.output
    assert readme.read_text() == changed
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


def test_a_command_that_adds_to_the_one_above_is_short(script: ModuleType) -> None:
    base = {"recipe": "trial", "set": ["train.steps=5"]}
    assert script.shown(base, None) == "`recipes/trial.yaml --set train.steps=5`"
    more = {"recipe": "trial", "set": ["train.steps=5", "model.norm={name: bn, momentum: 0.5}"]}
    assert script.shown(more, base) == "+ `--set 'model.norm={name: bn, momentum: 0.5}'`"
    assert script.shown({**base, "recipe": "other"}, base) == "`recipes/other.yaml`, options as above"
    for other in ({"recipe": "trial", "set": ["train.steps=6"]}, {"recipe": "trial"}, {**more, "recipe": "other"}):
        assert script.shown(other, base) == f"`{script.command_of(other)}`"


def test_a_row_of_classification_has_its_three_contexts(script: ModuleType) -> None:
    """Of a context that is derived from the label the inferred one counts."""
    run = {"commit": "1234567", "started": "2026-11-25", "updates_to": {"75": 1500, "80": None}}
    scores = {"known": 90.0, "inferred": 80.0, "unknown": 70.0}
    for leaks, counts in ((True, "80.0"), (False, "90.0")):
        line = script.classification_line("x", "`r`", [run | {"contexts": scores | {"leaks": leaks}}])
        assert line == (
            f"| x | `r` | **{counts}** | {counts} | 90.0 | 80.0 | 70.0 | 1,500 | - | 1234567 of 2026-11-25 |"
        )
