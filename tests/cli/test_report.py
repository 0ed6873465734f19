"""``dacn report`` through the real command, on folders as runs leave them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dacn.cli import main
from tests.report.written import norm, write_run


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        write_run(tmp_path / "runs" / f"bn{seed}", seed, 90.0 + seed)
        write_run(tmp_path / "runs" / f"cn{seed}", seed, 93.0, **norm("cn"))
    return tmp_path


def report(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["report", *arguments], catch_exceptions=False)


def test_a_table_and_a_page(work: Path) -> None:
    result = report("runs")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| trial: model.norm=bn", "| trial: model.norm=cn"]
    assert result.stderr == "The page is report.html\n"
    assert "<h1>" in Path("report.html").read_text()


def test_json_and_other_formats(work: Path) -> None:
    result = report("runs/bn0", "runs/cn0", "--format", "json", "--out", "pages/a.html")
    assert [row["seeds"] for row in json.loads(result.stdout)["rows"]] == [[0], [0]]
    assert Path("pages/a.html").is_file()
    assert report("runs", "--format", "csv").stdout.startswith("row,source_mean,")
    assert "\\begin{tabular}" in report("runs", "--format", "tex").stdout


def test_unfinished_runs_are_said_to_be_left_out(work: Path) -> None:
    write_run(work / "runs" / "begun", finished=False)
    result = report("runs")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (0, "Left out, not finished: runs/begun")
    alone = report("runs/begun")
    assert (alone.exit_code, alone.stdout) == (2, "")
    assert alone.stderr.startswith("Error: runs/begun: not finished; `dacn train RECIPE --out DIR --resume` goes on")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rusn"], "Error: rusn: no such folder; did you mean 'runs'?"),
        (["runs", "--format", "pdf"], "'pdf' is not one of"),
        ([], "Missing argument 'RUN...'"),
        (["runs", "--out", "runs"], "Error: runs: cannot be written"),
    ],
)
def test_mistakes(work: Path, arguments: list[str], message: str) -> None:
    result = report(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(work.rglob("*.partial"))
