"""``dacn compare`` through the real command, its runs taken for done; real ones are in tests/compare."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dacn.cli import main
from dacn.compare import comparison, processes
from dacn.compare.grid import Cell
from tests.report.written import write_run

RECIPE = "{data: {pair: digits}, model: {backbone: {name: small_cnn, width: 4}}, train: {steps: 10}}"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    """Stand in for the processes: remember what was asked for, and leave folders as runs do."""
    calls = []

    def train_all(cells: list[Cell], out: Path, **options: Any) -> dict[str, str]:
        calls.append(([cell.name for cell in cells], options))
        failed = {}
        for cell in cells:
            if cell.recipe.optimizer.lr > 1:
                failed[cell.name] = "exit code 1: loss is not finite"
            else:
                target = 90.0 + cell.recipe.seed + (cell.recipe.model.norm.name == "cn")
                write_run(out / cell.name, target=target, seen=None, **json.loads(cell.recipe.model_dump_json()))
        return failed

    monkeypatch.setattr(comparison, "train_all", train_all)
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE)
    return calls


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", "tiny.yaml", "--device", "cpu", *arguments], catch_exceptions=False)


def test_a_grid_and_its_table(calls: Any) -> None:
    result = compare("--vary", "model.norm=bn,cn", "--seeds", "0,1", "--jobs", "2")
    assert result.exit_code == 0, result.stderr
    ((names, options),) = calls
    assert names == ["norm=bn/seed0", "norm=bn/seed1", "norm=cn/seed0", "norm=cn/seed1"]
    assert (options["jobs"], options["device"], options["force"]) == (2, "cpu", False)
    lines = result.stdout.splitlines()
    assert lines[2].startswith("| tiny: model.norm=bn | 99.0 | 89.5 | 90.5 ± 0.7 | 91.5 | - | 0 / 1 | 2 |")
    assert "| +1.0 (2 pairs) |" in lines[3]
    assert result.stderr == "The comparison is in runs/tiny-compare\n"
    assert Path("runs/tiny-compare/comparison.md").read_text() == result.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal(calls: Any, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", str(columns))):
        monkeypatch.setenv(name, value)
    said = compare("--vary", "model.norm=bn,cn", "--vary", "optimizer.lr=0.1,0.2", "--seeds", "0,1").stdout
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= columns
    assert not any("|" in line or "…" in line for line in lines), "Markdown, or words that are cut"
    assert sum("± 0.7" in line for line in lines) >= 4
    assert Path("runs/tiny-compare/comparison.md").read_text().startswith("|"), "the file has all columns"


def test_what_is_finished_is_not_asked_for_again(calls: Any) -> None:
    compare("--vary", "model.norm=bn", "--seeds", "0,1")
    result = compare("--vary", "model.norm=bn,cn", "--seeds", "0,1", "--json")
    assert calls[1][0] == ["norm=cn/seed0", "norm=cn/seed1"]
    assert [row["seeds"] for row in json.loads(result.stdout)["rows"]] == [[0, 1], [0, 1]]
    assert result.stderr.startswith("2 of 4 runs are finished already\n")


def test_a_failed_run_is_named_and_the_others_are_in_the_table(calls: Any) -> None:
    result = compare("--vary", "optimizer.lr=0.1,1.5", "--out", "out")
    assert result.exit_code == 1
    assert "| tiny | 99.0 |" in result.stdout
    assert "Error: 1 run failed; the same command tries again" in result.stderr
    assert "  out/lr=1.5/seed0: exit code 1: loss is not finite" in result.stderr
    assert "| tiny | 99.0 |" in Path("out/comparison.md").read_text()


def test_a_folder_with_other_runs_is_refused_before_anything_starts(calls: Any) -> None:
    compare("--vary", "model.norm=bn", "--out", "out")
    again = ("--vary", "model.norm=bn,cn", "--out", "out", "--set", "train.steps=11")
    result = compare(*again)
    assert (result.exit_code, len(calls)) == (2, 1)
    assert "out/norm=bn/seed0: holds a run of another recipe than this comparison's" in result.stderr
    assert not Path("out/norm=cn").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "model.norm=bn,bm"], "model.norm=bm: tiny.yaml: 1 problem"),
        (["--vary", "algorithm=dann", "--set", "data={dataset: {npz: gone.npz}, labels: 4}"], "gone.npz"),
        (["--vary", "algorithm={name: source_only},{name: source_only, adabn: true}", "--set", "model.norm=bn"],
         "algorithm=source_only-adabn-true/seed0: algorithm.adabn: true needs layers with batch statistics"),
        (["--seeds", "0,x"], "got '0,x', expected whole numbers such as 0,1,2"),
        (["--seeds", "-1"], "expected numbers from 0 to"),
        (["--jobs", "0"], "0 is not in the range"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_the_first_run(calls: Any, arguments: list[str], message: str) -> None:
    result = compare(*arguments)
    assert (result.exit_code, calls) == (2, [])
    assert message in result.stderr
    assert not Path("runs").exists()


def test_threads_are_shared_out(calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    compare("--seeds", "0", "--jobs", "3")
    assert calls[0][1]["threads"] == 2


def test_the_last_whole_line_tells_the_step(tmp_path: Path) -> None:
    assert processes.steps_done(tmp_path) == 0
    (tmp_path / "metrics.jsonl").write_text('{"step": 10}\n{"step": 20, "loss": 1}\n{"step": 30, "lo')
    assert processes.steps_done(tmp_path) == 20
